//! The table of the results.

use crate::case::Case;
use crate::sample::{Sample, median};
use std::fmt::Write as _;

const HEAD: &str = "| case | database | deliveries/s | of raw limit | events accepted/s | p50 ms | p99 ms \
                    | CPU ms/delivery | peak MiB | missing | twice | refused |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// The medians of all runs as Markdown.
pub fn table(raw: &[Sample], cases: &[(Case, Vec<Sample>)]) -> String {
    let raw = median(raw);
    let mut text = HEAD.to_owned();
    line(&mut text, "raw limit: client to receiver", "–", &raw, raw.delivered_per_s);
    for (case, samples) in cases {
        line(&mut text, case.name, case.database.name(), &median(samples), raw.delivered_per_s);
    }
    text
}

/// One line for a run, as it ends.
pub fn progress(name: &str, sample: &Sample) -> String {
    format!(
        "{name}: {:.0} accepted/s, {:.0} delivered/s, p50 {:.1} ms, p99 {:.1} ms, {:.3} ms CPU, {:.0} MiB, \
         {} missing, {} twice, {} refused",
        sample.accepted_per_s,
        sample.delivered_per_s,
        sample.p50_ms,
        sample.p99_ms,
        sample.cpu_ms_per_delivery,
        sample.peak_rss_mib,
        sample.missing,
        sample.twice,
        sample.failed
    )
}

fn line(text: &mut String, name: &str, database: &str, sample: &Sample, raw_per_s: f64) {
    let _ = writeln!(
        text,
        "| {name} | {database} | {:.0} | {:.1} % | {:.0} | {:.1} | {:.1} | {:.3} | {:.0} | {} | {} | {} |",
        sample.delivered_per_s,
        100.0 * sample.delivered_per_s / raw_per_s.max(1.0),
        sample.accepted_per_s,
        sample.p50_ms,
        sample.p99_ms,
        sample.cpu_ms_per_delivery,
        sample.peak_rss_mib,
        sample.missing,
        sample.twice,
        sample.failed
    );
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::case::CASES;
    use crate::sample::Sample;

    #[test]
    fn a_table_has_as_many_columns_in_every_line() {
        let text = table(&[Sample::default()], &[(CASES[0], vec![Sample::default()])]);
        let columns: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(columns, [13; 4]);
    }
}
