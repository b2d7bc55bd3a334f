//! How numbers are written: the same way in every table, sentence and axis.

/// A fixed number of digits after the point; `–` where undefined.
pub(super) fn fixed(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|v| v.is_finite()) else { return "–".into() };
    let text = format!("{:.digits$}", value.abs());
    // A rounded zero has no sign.
    let negative = value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if negative { format!("−{text}") } else { text }
}

/// A share as a percentage with a fixed number of digits.
pub(super) fn percent(share: Option<f64>, digits: usize) -> String {
    match share {
        Some(share) if share.is_finite() => fixed(Some(100.0 * share), digits) + " %",
        _ => "–".into(),
    }
}

/// A whole number in groups of three.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Both ends of an interval; empty where there is none.
pub(super) fn interval(ends: Option<&[f64; 2]>, digits: usize) -> String {
    ends.map_or_else(String::new, |&[low, high]| {
        format!("[{}, {}]", fixed(Some(low), digits), fixed(Some(high), digits))
    })
}

/// An amount of money or the like: digits after the point only where there is something to say.
pub(super) fn amount(value: f64) -> String {
    let cents = (value.abs() * 100.0).round();
    let whole = count((cents / 100.0).floor() as u64);
    let rest = cents % 100.0;
    let sign = if value < 0.0 && cents > 0.0 { "−" } else { "" };
    if rest == 0.0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:02.0}") }
}

/// Text of a log as one line without control characters, cut after a number of characters: what goes into a drawing.
pub(super) fn line(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() || is_direction(c) { ' ' } else { c };
    let mut out: String = text.chars().take(most + 1).map(clean).collect();
    if out.chars().count() > most {
        out = out.chars().take(most.saturating_sub(1)).collect();
        out.push('…');
    }
    out
}

/// Marks that turn the direction of the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_plainly() {
        assert_eq!(fixed(Some(-0.0001), 2), "0.00");
        assert_eq!(fixed(Some(-1.255), 1), "−1.3");
        assert_eq!((fixed(None, 2), fixed(Some(f64::NAN), 2)), ("–".into(), "–".into()));
        assert_eq!(percent(Some(0.1234), 1), "12.3 %");
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(interval(Some(&[0.5, 0.75]), 2), "[0.50, 0.75]");
        assert_eq!(
            [0.0, 1999.0, 12.5, 0.999, -3.25].map(amount),
            ["0", "1,999", "12.50", "1", "−3.25"]
        );
    }

    #[test]
    fn a_line_has_no_control_characters_and_an_end() {
        assert_eq!(line("a\u{0}b\nc", 9), "a b c");
        assert_eq!(line("x\u{202e}y", 9), "x y");
        assert_eq!((line("abcd", 4), line("abcde", 4)), ("abcd".into(), "abc…".into()));
        assert_eq!(line("导购导购导购", 4), "导购导…");
    }
}
