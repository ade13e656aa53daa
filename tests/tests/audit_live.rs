//! `mirror audit` on a terminal: the live view, its keys, its sizes, and the terminal afterwards.
use mirror_tests::{Kind, Level, Pair, Screen, send, still};
use std::fs;

fn begin(pair: &Pair, args: &[&str], rows: usize, columns: usize) -> Screen {
    let mut c = pair.mirror_command("audit");
    c.arg(pair.v()).args(["--tier", "t4"]).args(args);
    c.env("TERM", "xterm");
    let s = Screen::start(&mut c, rows, columns);
    s.shows("q quit");
    s
}

/// In leg a, past the mirror: one finding each.
fn create(s: &Screen, pair: &Pair, names: &[&str]) {
    still(s.pid(), || {
        for n in names {
            fs::write(pair.a().join(n), n).unwrap();
        }
    });
}

/// Its end by q: the terminal is as it was, and what is left of it stays there.
fn quit(mut s: Screen, code: i32) {
    s.type_in("q");
    assert_eq!(s.wait().code(), Some(code), "{}", s.text());
    assert!(!s.drawn().0, "the other screen is left");
    assert!(s.cooked());
    assert!(s.text().contains("ended  "), "{}", s.text());
}

#[test]
fn the_view_shows_what_is_found() {
    Pair::with(Kind::InPlace, |pair| {
        let s = begin(pair, &[], 20, 100);
        assert!(s.drawn().0 && !s.cooked());
        let text = s.shows("IN SYNC");
        for word in [
            "mirror audit  ",
            "T4 inotify",
            "up 00:00:",
            "lost 0",
            "mirrored 0",
            "unmirrored 0",
            "lag -",
            "T4 does not see",
            "TIME",
            "WHY",
        ] {
            assert!(text.contains(word), "{word}:\n{text}");
        }
        create(&s, pair, &["one", "two"]);
        s.shows("one");
        let text = s.shows("unmirrored 2");
        assert!(text.contains("create") && !text.contains("lag -"), "{text}");
        s.shows("UNVERIFIED");
        quit(s, 3);
    });
}

#[test]
fn keys_stop_filter_and_scroll_the_table() {
    Pair::with(Kind::Link, |pair| {
        let mut s = begin(pair, &[], 12, 100);
        create(&s, pair, &["one"]);
        s.shows("one");
        s.type_in("p");
        s.shows("PAUSED, 0 lines");
        create(&s, pair, &["two"]);
        let text = s.shows("PAUSED, 1 line ");
        assert!(!text.contains("two"), "{text}");
        // The counters go on.
        s.shows("unmirrored 2");
        s.type_in("p");
        s.shows("two");
        s.type_in("/on");
        let text = s.until("filter", |t| {
            t.contains("filter: on_") && !t.contains("two")
        });
        assert!(text.contains("one"), "{text}");
        s.type_in("e\r");
        s.shows("only \"one\"");
        s.type_in("\x1b");
        s.shows("two");
        for i in 0..12 {
            let name = format!("many{i}");
            create(&s, pair, &[&name]);
            s.shows(&name);
        }
        s.type_in("\x1b[H");
        s.until("the first", |t| t.contains("one") && !t.contains("many11"));
        s.type_in("\x1b[F");
        s.shows("many11");
        quit(s, 3);
    });
}

#[test]
fn any_size_is_drawn_and_only_what_changes() {
    Pair::with(Kind::InPlace, |pair| {
        let mut s = begin(pair, &[], 24, 120);
        let (_, cleared) = s.drawn();
        create(&s, pair, &["one", "two", "three"]);
        s.shows("unmirrored 3");
        assert_eq!(s.drawn().1, cleared, "the screen was cleared, it flickers");
        for (rows, columns) in [(10, 60), (3, 20), (50, 200)] {
            s.resize(rows, columns);
            s.until("header", |t| t.starts_with("mirror audi"));
            s.shows("q quit");
        }
        s.shows("three");
        quit(s, 3);
    });
}

#[test]
fn a_hold_is_listed_and_restored_by_keys() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("mkdir $V/d; cd $V/d; for i in $(seq 20); do echo $i > $i; done")
            .ok();
        let mut s = begin(pair, &["--heal", "--brake", "5"], 20, 120);
        still(s.pid(), || pair.bypass("rm -r $B/d")).ok();
        s.shows("HELD 21 names");
        s.type_in("l");
        s.shows("gone on leg b: d/1 ");
        // Nothing is done without a yes.
        s.type_in("r");
        s.shows("put 21 names back");
        s.type_in("n");
        s.until("end of the question", |t| !t.contains("y / n"));
        s.shows("HELD 21 names");
        assert!(!pair.b().join("d").exists());
        s.type_in("ry");
        s.shows("put back");
        s.type_in("l");
        s.shows("nothing is held");
        pair.assert_legs(Level::Strict);
        quit(s, 3);
    });
}

#[test]
fn it_can_be_stopped_and_taken_up_again() {
    Pair::with(Kind::InPlace, |pair| {
        let mut s = begin(pair, &[], 20, 100);
        s.type_in("\x1a");
        // As a shell finds it: stopped, the terminal as it was.
        let mut status = 0;
        // SAFETY: a child of ours; WUNTRACED tells that it has stopped.
        let r = unsafe { libc::waitpid(s.pid(), &mut status, libc::WUNTRACED) };
        assert!(r == s.pid() && libc::WIFSTOPPED(status));
        assert!(s.cooked());
        send(s.pid(), libc::SIGCONT);
        create(&s, pair, &["meanwhile"]);
        s.shows("meanwhile");
        assert!(!s.cooked());
        quit(s, 3);
    });
}

#[test]
fn where_there_is_no_screen_there_are_lines() {
    Pair::with(Kind::InPlace, |pair| {
        for (args, terminal) in [(&["--plain"][..], "xterm"), (&[], "dumb")] {
            let mut c = pair.mirror_command("audit");
            c.arg(pair.v()).args(["--tier", "t4"]).args(args);
            c.env("TERM", terminal);
            let mut s = Screen::start(&mut c, 24, 140);
            s.shows("WHY");
            assert!(!s.drawn().0 && s.cooked());
            send(s.pid(), libc::SIGINT);
            assert_eq!(s.wait().code(), Some(0), "{}", s.text());
        }
    });
}
