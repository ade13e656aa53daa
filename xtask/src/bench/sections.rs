//! Marked sections of documents, written by this tool: `<!-- name -->` … `<!-- /name -->`.
use crate::{Result, root};
use std::fs;

/// Replaces what stands between a document's marks.
pub fn rewrite(document: &str, name: &str, text: &str) -> Result<()> {
    let file = root().join(document);
    let shown = |e: std::io::Error| format!("{document}: {e}");
    let old = fs::read_to_string(&file).map_err(shown)?;
    let new = replaced(&old, name, text)
        .ok_or_else(|| format!("{document} has no section <!-- {name} --> … <!-- /{name} -->"))?;
    fs::write(&file, new).map_err(shown)
}

fn replaced(old: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = old.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes() {
        let old = "a\n<!-- x -->\nold\n<!-- /x -->\nb <!-- y -->\n<!-- /y -->";
        let new = replaced(old, "x", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb <!-- y -->\n<!-- /y -->"
        );
        // Writing twice changes nothing more.
        assert_eq!(replaced(&new, "x", "new").unwrap(), new);
        assert_eq!(replaced(old, "z", ""), None);
        assert_eq!(replaced("<!-- x -->\n", "x", ""), None);
    }
}
