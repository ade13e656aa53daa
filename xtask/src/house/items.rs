//! Items of a file that the house has rules for: statics, and functions with their length.
use super::tokens::{Token, closed};

/// A name and the line it begins in.
pub struct Item {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// All statics, those of functions too.
pub fn statics(t: &[Token]) -> Vec<Item> {
    (0..t.len())
        .filter(|i| t[*i].text == "static" && !matches!(word(t, i + 1), "move" | "|" | "async"))
        .map(|i| {
            let at = i + 1 + usize::from(word(t, i + 1) == "mut");
            Item {
                name: word(t, at).to_owned(),
                line: t[i].line,
                lines: 1,
            }
        })
        .collect()
}

/// All functions with a body.
pub fn functions(t: &[Token]) -> Vec<Item> {
    let mut out = Vec::new();
    for i in 0..t.len() {
        if t[i].text != "fn" || !word(t, i + 1).starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            continue;
        }
        // Over the parameters and what is returned, to the body.
        let mut j = i + 2;
        while j < t.len() && !matches!(t[j].text.as_str(), "{" | ";") {
            j = match t[j].text.as_str() {
                "(" | "[" => closed(t, j),
                _ => j + 1,
            };
        }
        if word(t, j) == "{" {
            let end = t[closed(t, j) - 1].line;
            out.push(Item {
                name: word(t, i + 1).to_owned(),
                line: t[i].line,
                lines: end + 1 - t[i].line,
            });
        }
    }
    out
}

fn word(t: &[Token], i: usize) -> &str {
    t.get(i).map_or("", |t| t.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    #[test]
    fn statics_and_functions_are_found() {
        let t = tokens(
            "static A: u8 = 1;\nfn f(x: [u8; 2]) -> &'static str {\n  static mut B: u8 = 0;\n  \"}\"\n}\ntrait T { fn g(); }",
        );
        let names: Vec<String> = statics(&t).into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["A", "B"]);
        let long: Vec<(String, usize)> = functions(&t)
            .into_iter()
            .map(|f| (f.name, f.lines))
            .collect();
        assert_eq!(long, [("f".to_owned(), 4)]);
    }
}
