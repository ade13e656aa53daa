//! Threads change names in a directory, by its number or as the cwd, while another thread makes the number or the
//! cwd another directory, in and out of V: every change is on both legs, or outside.
use mirror_tests::{Kind, Level, Output, Pair, compile};

fn moving(mode: &str) {
    let pair = Pair::striped(Kind::InPlace, None);
    let source = include_str!("../programs/moving.c");
    let Some(program) = compile(&pair.programs(), "moving", source) else {
        return;
    };
    let outside = pair.scratch().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let o = pair.command(program).arg(mode).arg(&outside).output();
    Output::from_std(o.expect("running mirror run")).ok();
    pair.assert_legs(Level::NoTimes);
    pair.assert_nothing_pending();
}

#[test]
fn a_number_is_another_directorys_by_dup2() {
    moving("dup");
}

#[test]
fn a_number_is_closed_and_another_directorys() {
    moving("reopen");
}

#[test]
fn the_cwd_is_another_directory() {
    moving("chdir");
}

#[test]
fn an_open_gets_the_lowest_free_number() {
    moving("numbers");
}
