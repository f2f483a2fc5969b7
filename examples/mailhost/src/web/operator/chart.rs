//! Charts of the last day: drawings for those who see, and one table for everybody.

use std::time::Duration;

use maud::{Markup, html};

use crate::metrics::history::Interval;
use crate::words::clock;

/// One line of numbers over the last day.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: &'static str,
    /// A word for the style: what colour it has.
    pub(super) kind: &'static str,
    /// Its number in each interval.
    pub(super) of: fn(&Interval) -> u64,
    /// Whether the numbers of intervals add up; otherwise the highest counts.
    pub(super) adds_up: bool,
    /// A number as text.
    pub(super) text: fn(u64) -> String,
}

impl Chart {
    fn total(&self, day: &[Interval]) -> u64 {
        let all = day.iter().map(self.of);
        if self.adds_up { all.sum() } else { all.max().unwrap_or_default() }
    }

    /// As a drawing, with what it shows in words.
    pub(super) fn draw(&self, day: &[Interval]) -> Markup {
        let Self { title, kind, adds_up, text, .. } = self;
        let most = day.iter().map(self.of).max().unwrap_or_default();
        let total = text(self.total(day));
        let summary = match (adds_up, most) {
            (_, 0) => "None over the last day.".to_owned(),
            (true, most) => {
                format!("{total} over the last day, at most {} in a quarter of an hour.", text(most))
            }
            (false, _) => format!("At most {total} over the last day."),
        };
        let ceiling = ceiling(most);
        let width = WIDTH / day.len().max(1) as u64;
        html! {
            figure.chart.(kind) {
                figcaption { span.chart-title { (title) } span.chart-total { (total) @if !adds_up { span.hint { " at most" } } } }
                svg role="img" aria-label={ (title) ". " (summary) } viewBox={ "0 0 " (WIDTH) " " (HEIGHT + BELOW) }
                    preserveAspectRatio="none" {
                    line.chart-grid x1="0" y1="0.5" x2=(WIDTH) y2="0.5" stroke-width="1" {}
                    line.chart-grid x1="0" y1=(HEIGHT / 2) x2=(WIDTH) y2=(HEIGHT / 2) stroke-width="1" stroke-dasharray="2 4" {}
                    @for (at, interval) in day.iter().enumerate() {
                        @let x = at as u64 * width;
                        @if !interval.known {
                            rect.chart-unknown x=(x) y=(HEIGHT - 3) width=(width) height="3" {}
                        } @else {
                            @let height = height((self.of)(interval), ceiling);
                            @if height > 0 {
                                rect.chart-bar x=(x) y=(HEIGHT - height) width=(if *adds_up { width - 1 } else { width }) height=(height) {}
                            }
                        }
                    }
                    line.chart-base x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) stroke-width="1" {}
                }
                div.chart-hours aria-hidden="true" {
                    @for interval in day.iter().step_by((day.len() / 4).max(1)) { span { (clock(interval.from)) } }
                    span { "now" }
                }
                p.chart-most aria-hidden="true" { (text(ceiling)) }
            }
        }
    }
}

/// All of them in numbers, an hour each row, the newest first.
pub(super) fn table(charts: &[Chart], day: &[Interval]) -> Markup {
    let hours: Vec<&[Interval]> = day.chunks((day.len() / 24).max(1)).collect();
    html! {
        details.numbers {
            summary { "The same in numbers" }
            div.scroll tabindex="0" role="region" aria-label="The last day in numbers" { table {
                thead { tr {
                    th scope="col" { "Hour from" }
                    @for chart in charts { th.number scope="col" { (chart.title) } }
                } }
                tbody {
                    @for hour in hours.iter().rev() {
                        @let known = hour.iter().any(|interval| interval.known);
                        tr {
                            th scope="row" { (clock(hour.first().map_or(Duration::ZERO, |first| first.from))) }
                            @for chart in charts {
                                td.number { @if known { ((chart.text)(chart.total(hour))) } @else { "–" } }
                            }
                        }
                    }
                }
            } }
            p.hint { "Times are UTC. A dash is an hour in which the host did not run." }
        }
    }
}

/// The height of a bar, which is there if there is anything.
fn height(number: u64, ceiling: u64) -> u64 {
    let height = u128::from(number) * u128::from(HEIGHT) / u128::from(ceiling.max(1));
    let height = u64::try_from(height).unwrap_or(HEIGHT).min(HEIGHT);
    if number > 0 { height.max(2) } else { 0 }
}

/// A round number that nothing is higher than: 1, 2 or 5 with noughts.
fn ceiling(most: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(round) if round >= most => return round,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        let Some(next) = power.checked_mul(10) else { return u64::MAX };
        power = next;
    }
}

/// Of a drawing, in units of its own. The width is a multiple of the intervals of a day.
const WIDTH: u64 = 480;
const HEIGHT: u64 = 96;
const BELOW: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::history::Counted;

    const CHART: Chart = Chart {
        title: "Accepted",
        kind: "in",
        of: |interval| interval.counted.accepted,
        adds_up: true,
        text: |number| number.to_string(),
    };

    fn interval(accepted: u64, known: bool) -> Interval {
        Interval { known, counted: Counted { accepted, ..Counted::default() }, ..Interval::default() }
    }

    #[test]
    fn nothing_is_higher_than_its_ceiling() {
        for (most, round) in [(0, 1), (1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (101, 200), (600, 1_000)] {
            assert_eq!(ceiling(most), round, "{most}");
        }
        assert_eq!(ceiling(u64::MAX), u64::MAX);
        assert_eq!((height(0, 10), height(1, 1_000), height(5, 10), height(10, 10)), (0, 2, 48, HEIGHT));
        assert_eq!(height(u64::MAX, u64::MAX), HEIGHT);
    }

    #[test]
    fn a_chart_says_what_it_shows_and_marks_what_nobody_knows() {
        let mut day = vec![interval(0, true); 96];
        (day[0], day[5], day[6]) = (interval(0, false), interval(3, true), interval(4, true));
        let drawing = CHART.draw(&day).into_string();
        assert!(
            drawing.contains("Accepted. 7 over the last day, at most 4 in a quarter of an hour."),
            "{drawing}"
        );
        assert_eq!(drawing.matches("chart-bar").count(), 2);
        assert_eq!(drawing.matches("chart-unknown").count(), 1);
        assert!(!drawing.contains("style="), "{drawing}");
        assert!(CHART.draw(&vec![interval(0, true); 96]).into_string().contains("None over the last day."));
        let table = table(&[CHART], &day).into_string();
        assert_eq!(table.matches("<td").count(), 24);
        assert!(table.contains(">7<"), "{table}");
        let nobody = vec![interval(0, false); 96];
        assert!(super::table(&[CHART], &nobody).into_string().contains('–'));
        assert!(!CHART.draw(&[]).into_string().is_empty());
    }
}
