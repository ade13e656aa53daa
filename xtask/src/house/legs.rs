//! A leg is a `Leg`, and what there is one of for each is a `PerLeg`, from where bytes are read to where text
//! is printed: a number can be any number, and the other leg of 2 is none.

use super::tokens::Token;

/// What a variable that says which leg is called.
const NAMES: [&str; 8] = [
    "leg", "from", "to", "sink", "source", "side", "copy", "lost",
];
/// What there is one of for each leg is called.
const PER_LEG: [&str; 5] = ["legs", "roots", "scans", "owners", "trees"];
/// Types that are no leg.
const NUMBERS: [&str; 6] = ["u8", "u16", "u32", "u64", "i32", "usize"];
/// Files in which a leg is a number, and why.
const LAID_OUT: &[(&str, &str)] = &[(
    "audit/src/raw.rs",
    "the record as the kernel's programs write it",
)];

/// Legs that are numbers.
pub fn numbered(shown: &str, t: &[Token]) -> Vec<String> {
    let text = |i: usize| t.get(i).map_or("", |t| t.text.as_str());
    let mut found = Vec::new();
    let mut say = |i: usize, what: String| found.push(format!("{shown}:{}: {what}", t[i].line));
    for i in 0..t.len() {
        match (text(i), text(i + 1), text(i + 2)) {
            ("1", "-", x) if NAMES.contains(&x) => {
                say(i, format!("1 - {x} (the other leg is Leg::other)"));
            }
            ("^", "1", _) => say(i, "^ 1 (the other leg is Leg::other)".into()),
            ("!", "side", _) => say(i, "!side (the other leg is Leg::other)".into()),
            ("letter", "(", x) if x != ")" && x != "self" && x != "&" => {
                say(i, format!("letter({x}…) (Leg::letter)"));
            }
            (x, "[", "0" | "1") if PER_LEG.contains(&x) && text(i + 3) == "]" => {
                say(i, format!("{x}[{}] (PerLeg has a and b)", text(i + 2)));
            }
            ("leg", ":", x)
                if NUMBERS.contains(&x) && !LAID_OUT.iter().any(|(f, _)| *f == shown) =>
            {
                say(i, format!("leg: {x} (a leg is a Leg)"));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    #[test]
    fn a_leg_is_no_number() {
        let bad = |s: &str| numbered("x.rs", &tokens(s)).len();
        for s in [
            "letter(1 - from)",
            "let o = 1 - leg;",
            "leg ^ 1",
            "f(!side)",
            "p.legs[0].root",
            "fn f(leg: usize) {}",
            "letter(leg)",
        ] {
            assert_eq!(bad(s), if s.starts_with("letter(1") { 2 } else { 1 }, "{s}");
        }
        for s in [
            "leg.letter()",
            "p.legs.a",
            "1 - x",
            "pub fn letter(self)",
            "leg: Leg",
        ] {
            assert_eq!(bad(s), 0, "{s}");
        }
        assert!(numbered(LAID_OUT[0].0, &tokens("struct H { leg: u8 }")).is_empty());
    }
}
