//! `hookgraph events`.

use hookgraph_domain::catalogue::{self, EventType};
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// As JSON, one object an event type
    #[arg(long)]
    json: bool,
}

pub fn run(args: &EventsArgs) -> anyhow::Result<ExitCode> {
    let event_types = catalogue::all();
    let text = if args.json {
        format!("{:#}\n", event_types.iter().map(as_json).collect::<serde_json::Value>())
    } else {
        table(event_types)
    };
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(event_type: &EventType) -> serde_json::Value {
    let variables = event_type.variables.iter().map(|variable| {
        json!({
            "name": variable.name,
            "type": type_text(variable),
            "description": variable.description,
        })
    });
    json!({
        "category": event_type.category,
        "concern": event_type.concern,
        "event": event_type.event,
        "description": event_type.description,
        "variables": variables.collect::<Vec<_>>(),
    })
}

fn type_text(variable: &catalogue::Variable) -> String {
    format!("{}{}", variable.variable_type.as_str(), if variable.is_required { "!" } else { "" })
}

fn table(event_types: &[EventType]) -> String {
    let header = ["CATEGORY", "CONCERN", "EVENT", "VARIABLES"].map(str::to_owned);
    let rows = event_types.iter().map(|event_type| {
        let variables: Vec<_> = event_type
            .variables
            .iter()
            .map(|variable| format!("${}: {}", variable.name, type_text(variable)))
            .collect();
        let EventType { category, concern, event, .. } = event_type;
        [category.to_string(), (*concern).to_owned(), (*event).to_owned(), variables.join(", ")]
    });
    super::aligned(std::iter::once(header).chain(rows))
}
