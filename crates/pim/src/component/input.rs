//! Inputs of components.

use super::{ComponentBody, ContentBody, SectionBody};
use crate::common::{KeyValuePairInput, converted};
use crate::limits::{COMPONENTS_MAX, IDENTIFIER_CHARS_MAX, INPUT_LIST_MAX, TEXT_CHARS_MAX};
use crate::rich_text;
use crate::scalars::{DateTime, JsonValue};
use async_graphql::{ID, InputObject};
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::Refusal;

/// A component with exactly one kind of content.
#[derive(Clone, Debug, InputObject)]
pub struct ComponentInput {
    /// Yes or no.
    pub boolean: Option<BooleanContentInput>,
    /// Which component of its item or variant.
    pub component_id: String,
    /// A moment.
    pub datetime: Option<DatetimeContentInput>,
    /// Other items, or variants of products.
    pub item_relations: Option<ItemRelationsContentInput>,
    /// A number with a unit.
    pub numeric: Option<NumericComponentContentInput>,
    /// Keys with values, in sections.
    pub properties_table: Option<PropertiesTableContentInput>,
    /// Formatted text.
    pub rich_text: Option<RichTextContentInput>,
    /// Some of given options.
    pub selection: Option<SelectionComponentContentInput>,
    /// A line of text.
    pub single_line: Option<SingleLineContentInput>,
}

/// Yes or no.
#[derive(Clone, Debug, InputObject)]
pub struct BooleanContentInput {
    /// Which of them.
    pub value: bool,
}

/// A moment.
#[derive(Clone, Debug, InputObject)]
pub struct DatetimeContentInput {
    /// Which moment.
    pub datetime: Option<DateTime>,
}

/// Other items, or variants of products.
#[derive(Clone, Debug, InputObject)]
pub struct ItemRelationsContentInput {
    /// The items.
    pub item_ids: Option<Vec<ID>>,
    /// The variants.
    pub skus: Option<Vec<String>>,
}

/// A number with a unit.
#[derive(Clone, Debug, InputObject)]
pub struct NumericComponentContentInput {
    /// The number.
    pub number: f64,
    /// The unit.
    pub unit: Option<String>,
}

/// Keys with values, in sections.
#[derive(Clone, Debug, InputObject)]
pub struct PropertiesTableContentInput {
    /// The sections.
    pub sections: Option<Vec<PropertiesTableComponentSectionInput>>,
}

/// A section of a properties table.
#[derive(Clone, Debug, InputObject)]
pub struct PropertiesTableComponentSectionInput {
    /// The keys with their values.
    pub properties: Option<Vec<KeyValuePairInput>>,
    /// The title.
    pub title: Option<String>,
}

/// Formatted text: as HTML or as JSON.
#[derive(Clone, Debug, InputObject)]
pub struct RichTextContentInput {
    /// As HTML. Tags that have no counterpart in the JSON leave their text.
    pub html: Option<Vec<String>>,
    /// As JSON: blocks like `{"kind":"block","type":"paragraph","children":[{"kind":"inline","textContent":"Hi"}]}`.
    pub json: Option<Vec<JsonValue>>,
}

/// Some of given options.
#[derive(Clone, Debug, InputObject)]
pub struct SelectionComponentContentInput {
    /// The keys of those that are selected.
    pub keys: Vec<String>,
}

/// A line of text.
#[derive(Clone, Debug, InputObject)]
pub struct SingleLineContentInput {
    /// The text.
    pub text: Option<String>,
}

/// The stored bodies of components. `path` is the place of the components in the input.
pub(crate) fn component_bodies(inputs: Vec<ComponentInput>, path: &str) -> Result<Vec<ComponentBody>, Refusal> {
    if inputs.len() > COMPONENTS_MAX {
        let message = format!("{} components, {COMPONENTS_MAX} are allowed", inputs.len());
        return Err(Refusal::invalid_at(path, "TOO_MANY", message));
    }
    let mut bodies: Vec<ComponentBody> = Vec::with_capacity(inputs.len());
    let mut problems = Vec::new();
    for (index, input) in inputs.into_iter().enumerate() {
        let path = format!("{path}.{index}");
        match component_body(input, &path) {
            Ok(body) if bodies.iter().any(|other| other.component_id == body.component_id) => {
                let message = format!("{:?} is given twice", body.component_id);
                problems.push(Problem::new(format!("{path}.componentId"), "DUPLICATE", message));
            }
            Ok(body) => bodies.push(body),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(bodies) } else { Err(Refusal::invalid(problems)) }
}

fn component_body(input: ComponentInput, path: &str) -> Result<ComponentBody, Problem> {
    let component_id = input.component_id;
    if component_id.is_empty() || component_id.chars().count() > IDENTIFIER_CHARS_MAX {
        let message = format!("a component id has 1 to {IDENTIFIER_CHARS_MAX} characters");
        return Err(Problem::new(format!("{path}.componentId"), "IDENTIFIER", message));
    }
    let contents = [
        input.boolean.map(|input| Ok(ContentBody::Boolean { value: input.value })),
        input.datetime.map(|input| Ok(ContentBody::Datetime { datetime: input.datetime.map(Into::into) })),
        input.item_relations.map(|input| item_relations(input, path)),
        input.numeric.map(|input| Ok(ContentBody::Numeric { number: input.number, unit: input.unit })),
        input.properties_table.map(|input| properties_table(input, path)),
        input.rich_text.map(|input| rich_text_body(input, path)),
        input.selection.map(|input| {
            check_list(&format!("{path}.selection.keys"), input.keys.len())?;
            Ok(ContentBody::Selection { keys: input.keys })
        }),
        input.single_line.map(|input| single_line(input, path)),
    ];
    let mut given = contents.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(content), None) => Ok(ComponentBody { component_id, content: content? }),
        _ => Err(Problem::new(path, "ONE_OF", "give exactly one kind of content, e.g. singleLine")),
    }
}

fn check_list(path: &str, len: usize) -> Result<(), Problem> {
    if len <= INPUT_LIST_MAX {
        return Ok(());
    }
    Err(Problem::new(path, "TOO_MANY", format!("{len} elements, {INPUT_LIST_MAX} are allowed")))
}

fn item_relations(input: ItemRelationsContentInput, path: &str) -> Result<ContentBody, Problem> {
    let item_ids: Vec<String> = input.item_ids.into_iter().flatten().map(|id| id.0).collect();
    let skus = input.skus.unwrap_or_default();
    check_list(&format!("{path}.itemRelations.itemIds"), item_ids.len())?;
    check_list(&format!("{path}.itemRelations.skus"), skus.len())?;
    Ok(ContentBody::ItemRelations { item_ids, skus })
}

fn properties_table(input: PropertiesTableContentInput, path: &str) -> Result<ContentBody, Problem> {
    let sections = input.sections.unwrap_or_default();
    let count = sections.iter().map(|section| 1 + section.properties.as_ref().map_or(0, Vec::len)).sum();
    check_list(&format!("{path}.propertiesTable.sections"), count)?;
    let body = |section: PropertiesTableComponentSectionInput| SectionBody {
        title: section.title,
        properties: converted(section.properties).unwrap_or_default(),
    };
    Ok(ContentBody::PropertiesTable { sections: sections.into_iter().map(body).collect() })
}

fn single_line(input: SingleLineContentInput, path: &str) -> Result<ContentBody, Problem> {
    let chars = input.text.as_ref().map_or(0, |text| text.chars().count());
    if chars > TEXT_CHARS_MAX {
        let message = format!("{chars} characters, {TEXT_CHARS_MAX} are allowed");
        return Err(Problem::new(format!("{path}.singleLine.text"), "TOO_LONG", message));
    }
    Ok(ContentBody::SingleLine { text: input.text })
}

fn rich_text_body(input: RichTextContentInput, path: &str) -> Result<ContentBody, Problem> {
    let path = format!("{path}.richText");
    let json = match (input.html, input.json) {
        (Some(html), None) => rich_text::from_html(&html),
        (None, Some(json)) => rich_text::from_json(json.into_iter().map(|node| node.0).collect()),
        (None, None) => Ok(Vec::new()),
        (Some(_), Some(_)) => return Err(Problem::new(path, "ONE_OF", "give either html or json")),
    };
    let json = json.map_err(|error| Problem::new(path, error.code(), error.to_string()))?;
    Ok(ContentBody::RichText { json })
}
