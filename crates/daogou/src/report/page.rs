//! The frame of the page: head, title, contents, sections.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Section;
use super::chart::PALETTE;
use crate::artifact::Manifest;

/// Layout and type; colours are those of [`PALETTE`].
const STYLE: &str = include_str!("page.css");

/// Refuses whatever a page could load or run, should a name out of a log ever try.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(manifest: &Manifest, verdicts: &[Markup], sections: &[Section]) -> String {
    let provenance = &manifest.provenance;
    let made = provenance.created_at.replace('T', " ").replace('Z', " UTC");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { "daogou report · " (made) }
                style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kicker { "daogou · report on a run" }
                    h1 { "What the model learned, and what its lists look like" }
                    p.meta {
                        "Trained " (made) " by daogou " (manifest.program_version)
                        " · seed " (provenance.seed)
                        " · data " code { (provenance.data_fingerprint) }
                    }
                    @if !verdicts.is_empty() {
                        ul.verdicts { @for verdict in verdicts { li { (verdict) } } }
                    }
                    nav aria-label="Contents" {
                        ol { @for s in sections { li { a href={ "#" (s.id) } { (s.title) } } } }
                    }
                }
                main {
                    @for section in sections {
                        section id=(section.id) {
                            h2 { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer {
                    p {
                        "Unless a section says otherwise, numbers are of the test split, which "
                        "took no part in training, stopping or calibration. Intervals are 95 % "
                        "bootstrap intervals, resampled by user. – means undefined."
                    }
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of `#rrggbb` (WCAG 2).
    fn luminance(color: &str) -> f64 {
        let part = |at: usize| {
            let c = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn text_and_series_stand_out_from_what_they_are_on_in_light_and_dark() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        let schemes: Vec<&str> = PALETTE.split(":root").skip(1).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let color = |name: &str| {
                let rest = scheme.split_once(&format!("--{name}: ")).unwrap().1;
                &rest[..7]
            };
            for on in ["paper", "wash"] {
                for name in ["ink", "muted", "s1", "s2", "s3", "s4", "s5", "s6"] {
                    let found = contrast(color(name), color(on));
                    assert!(found >= 4.5, "{name} on {on}: {found:.2}");
                }
            }
        }
    }

    #[test]
    fn styles_load_nothing() {
        for style in [PALETTE, STYLE] {
            assert!(!style.contains("url(") && !style.contains("@import"));
            assert!(!style.contains('<'), "it stands in an element");
        }
    }
}
