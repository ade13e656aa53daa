//! A Rust source as a list of tokens: enough to see paths, items and how long they are.
//!
//! Comments, texts and what only tests compile are left out.

/// A word or a sign, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of a file, without comments, texts and `#[cfg(test)]` items.
pub fn tokens(source: &str) -> Vec<Token> {
    without_tests(&split(source))
}

fn split(source: &str) -> Vec<Token> {
    let s: Vec<char> = source.chars().collect();
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    let at = |i: usize| s.get(i).copied().unwrap_or('\0');
    while i < s.len() {
        let from = i;
        let c = at(i);
        let mut text = None;
        if c == '/' && at(i + 1) == '/' {
            while i < s.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block(&s, i);
        } else if let Some(end) = after_text(&s, i) {
            i = end;
            text = Some("\"\"".to_owned());
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            text = Some(s[from..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            i += 2;
            text = Some("::".to_owned());
        } else {
            i += 1;
            if !c.is_whitespace() {
                text = Some(c.to_string());
            }
        }
        if let Some(text) = text {
            out.push(Token { text, line });
        }
        line += s[from..i.min(s.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    out
}

fn after_block(s: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < s.len() {
        match (s[i], s.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// Where a string, byte string, raw string or character that begins at `i` ends; lifetimes too.
fn after_text(s: &[char], i: usize) -> Option<usize> {
    let at = |i: usize| s.get(i).copied().unwrap_or('\0');
    let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    let mut j = i;
    if !word_before {
        while matches!(at(j), 'b' | 'c' | 'r') && j - i < 2 {
            j += 1;
        }
    }
    let raw = j > i && at(j - 1) == 'r';
    let mut hashes = 0;
    while raw && at(j + hashes) == '#' {
        hashes += 1;
    }
    match at(j + hashes) {
        '"' => {
            j += hashes + 1;
            while j < s.len() {
                match at(j) {
                    '\\' if !raw => j += 1,
                    '"' if (0..hashes).all(|h| at(j + 1 + h) == '#') => {
                        return Some(j + 1 + hashes);
                    }
                    _ => {}
                }
                j += 1;
            }
            Some(s.len())
        }
        '\'' if hashes == 0 && (j == i || at(j - 1) == 'b') => {
            if at(j + 1) == '\\' {
                let close = (j + 3..s.len()).find(|k| at(*k) == '\'')?;
                return Some(close + 1);
            }
            if at(j + 2) == '\'' {
                return Some(j + 3);
            }
            // A lifetime.
            let mut k = j + 1;
            while at(k).is_alphanumeric() || at(k) == '_' {
                k += 1;
            }
            Some(k)
        }
        _ => None,
    }
}

/// Whether `words` stand at `i`.
pub fn stands(t: &[Token], i: usize, words: &[&str]) -> bool {
    words
        .iter()
        .enumerate()
        .all(|(k, w)| t.get(i + k).is_some_and(|t| t.text == *w))
}

/// The place behind the bracket that closes the one at `i`.
pub fn closed(t: &[Token], mut i: usize) -> usize {
    let mut depth = 0usize;
    while i < t.len() {
        match t[i].text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

fn without_tests(t: &[Token]) -> Vec<Token> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < t.len() {
        if !stands(t, i, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            out.push(t[i].clone());
            i += 1;
            continue;
        }
        i += 7;
        // Further attributes, then an item that ends with `;` or a block.
        while i < t.len() {
            match t[i].text.as_str() {
                ";" => {
                    i += 1;
                    break;
                }
                "{" => {
                    i = closed(t, i);
                    break;
                }
                "(" | "[" => i = closed(t, i),
                _ => i += 1,
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(s: &str) -> Vec<String> {
        tokens(s).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn texts_and_comments_are_no_code() {
        let s = "a // b::c\n/* d /* e */ f */ \"g::h\" r#\"i\" j\"# b'k' '\\'' 'l' m::n";
        let texts = vec!["\"\""; 5];
        let want: Vec<&str> = [&["a"][..], &texts, &["m", "::", "n"]].concat();
        assert_eq!(words(s), want);
    }

    #[test]
    fn lifetimes_and_tests_are_left_out() {
        let s = "fn f<'a>(x: &'a u8) {}\n#[cfg(test)]\nmod tests { use super::*; }\nfn g() {}";
        assert!(words(s).join(" ").ends_with("} fn g ( ) { }"));
        assert_eq!(tokens(s).last().map(|t| t.line), Some(4));
    }
}
