//! exec of what is open for writing: a plain directory's answers, whoever has it open, in every way to start it, also
//! with leg b away and after it has come back.
use mirror_tests::{Fs, Kind, Pair, compile};

#[test]
fn what_is_open_for_writing_is_not_started() {
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&["--on-failure", "degrade"]).ok();
    let busy = compile(&p.programs(), "busy", include_str!("../programs/busy.c"));
    let seven = compile(&p.programs(), "seven", "int main(void) { return 7; }\n");
    if busy.is_none() || seven.is_none() {
        return;
    }
    let make = "cp $P/seven $V/seven; printf '#!/bin/sh\\nexit 7\\n' > $V/script; printf 'exit 7\\n' > $V/plain; chmod +x $V/script $V/plain";
    p.both_ok(make);
    let v = p.v().to_str().unwrap();
    let script = "timeout 120 $P/busy $V/seven $V/script $V/plain";
    let native = p.plain(script).ok().text();
    let busy = native.matches("Text file busy").count();
    assert!(
        native.contains(", ran") && native.lines().count() > 180,
        "{busy}: {native}"
    );
    for step in ["", "offline", "online"] {
        if !step.is_empty() {
            p.mirror("leg", &[step, v, "b"]).ok();
        }
        let said = p.run(script).ok().text();
        for (n, m) in native.lines().zip(said.lines()) {
            assert_eq!(n, m, "{step}");
        }
        assert_eq!(native.lines().count(), said.lines().count(), "{step}");
    }
    p.assert_equal();
    p.assert_like_native();
}
