//! What people see: errors on standard error, data on standard output, progress where someone watches.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes data to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes a line for people to standard error.
pub(crate) fn note(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error with its hint; the exit code of errors. A closed pipe is no error: the reader has seen enough.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let pipe = error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    });
    if pipe {
        return ExitCode::SUCCESS;
    }
    note(&format!("error: {error:#}"));
    let of_library = || error.downcast_ref::<daogou::Error>()?.hint().map(str::to_string);
    let of_start = || error.downcast_ref::<daogou_server::StartError>()?.hint();
    let of_store =
        || error.downcast_ref::<daogou_server::store::StoreError>()?.hint().map(str::to_string);
    if let Some(hint) = of_library().or_else(of_start).or_else(of_store) {
        note(&format!("hint: {hint}"));
    }
    ExitCode::from(2)
}

/// A progress bar on standard error; hidden where that is no terminal.
pub(crate) fn progress(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let style = ProgressStyle::with_template(template).expect("a template of this program");
        bar.set_style(style.progress_chars("━╸ "));
        bar.enable_steady_tick(Duration::from_millis(200));
    } else {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// Columns a text takes: wide characters take two.
pub(crate) fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd)
    };
    text.chars().map(|c| 1 + usize::from(wide(c))).sum()
}

/// Cuts or pads a text to a width.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    // A control character from a log would steer the terminal.
    for c in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        let w = width(c.encode_utf8(&mut [0; 4]));
        if used + w > columns {
            break;
        }
        out.push(c);
        used += w;
    }
    out.extend(std::iter::repeat_n(' ', columns - used));
    out
}

/// Parts on as many lines of 80 columns as they need, each line indented; a part that is too long is broken at a space.
pub(crate) fn wrapped(parts: &[String], separator: &str, indent: &str) -> String {
    const COLUMNS: usize = 80;
    let mut out = String::new();
    let mut line = String::new();
    let mut end = |line: &mut String| {
        out.push_str(indent);
        out.push_str(line.trim_end());
        out.push('\n');
        line.clear();
    };
    for (i, part) in parts.iter().enumerate() {
        // What follows a part stays on its line.
        let after = if i + 1 < parts.len() { width(separator.trim_end()) } else { 0 };
        let columns = COLUMNS.saturating_sub(width(indent) + after);
        let words: Vec<&str> =
            if width(part) <= columns { vec![part] } else { part.split(' ').collect() };
        let mut gap = if i == 0 { "" } else { separator };
        for word in words {
            if !line.is_empty() && width(&line) + width(gap) + width(word) > columns {
                line.push_str(gap.trim_end());
                end(&mut line);
            }
            line.push_str(if line.is_empty() { "" } else { gap });
            line.push_str(word);
            gap = " ";
        }
    }
    end(&mut line);
    out
}

#[cfg(test)]
mod tests {
    use super::{fit, width, wrapped};

    #[test]
    fn parts_are_wrapped_at_eighty_columns() {
        let parts: Vec<String> = (0..9).map(|i| format!("objective {i}")).collect();
        let text = wrapped(&parts, " · ", "  ");
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.starts_with("  objective") && width(line) <= 80));
        assert_eq!(text.replace("\n  ", " ").trim(), parts.join(" · "));
        let long = vec!["word ".repeat(30).trim().to_string()];
        let text = wrapped(&long, ", ", "    ");
        assert!(text.lines().count() == 2 && text.lines().all(|line| width(line) <= 80), "{text}");
        assert_eq!(wrapped(&["a".into()], ", ", " "), " a\n");
    }

    #[test]
    fn chinese_takes_two_columns() {
        assert_eq!(width("导购 ok"), 7);
        assert_eq!(fit("导购员", 5), "导购 ");
        assert_eq!(fit("a", 3), "a  ");
    }
}
