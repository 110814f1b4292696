//! Tables for people.

use std::io::{self, Write};

/// Writes `rows` below `header`, columns aligned, two spaces between them.
///
/// Control characters become `?`: some cells hold what a client chose, and a terminal obeys what it is shown.
pub(super) fn write<const N: usize>(
    out: &mut impl Write,
    header: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let header = header.map(str::to_owned);
    let mut widths = [0; N];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in [&header].into_iter().chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:width$}", printable(cell)));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The text without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_disarms_escapes() {
        let mut out = Vec::new();
        let rows = [["AKIA1".to_owned(), "\u{1b}[2Jé".to_owned()], ["A".to_owned(), String::new()]];
        write(&mut out, ["ID", "NAME"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID     NAME\nAKIA1  ?[2Jé\nA\n");
    }
}
