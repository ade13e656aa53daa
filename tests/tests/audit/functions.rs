//! Tier T1, eBPF at the kernel's functions: all that T2 is tried with, what T2 does not see, and what both cost.
//! Many kernels refuse it; `cargo xtask kernels` boots some that do not.
use super::strangers::{by, each_row, matched, mirrored};
use mirror_tests::{Fs, Kind, Pair, compile, need};

#[test]
fn every_way_on_leg_a_t1() {
    each_row("t1", 0);
}

#[test]
fn every_way_on_leg_b_t1() {
    each_row("t1", 1);
}

#[test]
fn mirrored_programs_are_no_findings_t1() {
    mirrored("t1");
}

#[test]
fn a_pair_that_was_matched_proves_nothing_of_the_next_t1() {
    matched("t1");
}

/// A store to a page that a mirrored program has made dirty just before.
#[test]
fn a_store_to_a_dirty_page_is_seen_t1() {
    need!(root);
    const SOURCE: &str = r#"
        #include <fcntl.h>
        #include <sys/mman.h>
        int main(int argc, char **argv) {
            int fd = open(argv[1], O_RDWR);
            char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            m[1] = 'y';
            return 0;
        }"#;
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if compile(&pair.programs(), "store", SOURCE).is_none() {
        return;
    }
    let Some(audit) = by(&pair, "t1") else { return };
    pair.run("for i in 1 2 3 4; do echo xxxx > $V/f$i; done")
        .ok();
    audit
        .still(|| pair.bypass("for i in 1 2 3 4; do $P/store $A/f$i; done"))
        .ok();
    let told = audit.end();
    assert_eq!(told.places(), ["a f1", "a f2", "a f3", "a f4"]);
}

/// Says what a loop of writes costs without an audit, and with each tier of eBPF. Nothing is asserted of times.
#[test]
fn what_t1_costs() {
    need!(root);
    const SOURCE: &str = r#"
        #include <fcntl.h>
        #include <stdio.h>
        #include <time.h>
        #include <unistd.h>
        static double now(void) {
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            return t.tv_sec * 1e9 + t.tv_nsec;
        }
        int main(int argc, char **argv) {
            static char page[4096];
            int fd = open(argv[1], O_RDWR | O_CREAT, 0644);
            double best[2] = {1e18, 1e18};
            for (int round = 0; round < 20; round++) {
                double t = now();
                for (int i = 0; i < 200; i++) pwrite(fd, page, sizeof page, 0);
                double w = (now() - t) / 200;
                t = now();
                for (int i = 0; i < 200; i++) getppid();
                double g = (now() - t) / 200;
                if (w < best[0]) best[0] = w;
                if (g < best[1]) best[1] = g;
            }
            printf("pwrite %.0f ns, getppid %.0f ns\n", best[0], best[1]);
            return 0;
        }"#;
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if compile(&pair.programs(), "writes", SOURCE).is_none() {
        return;
    }
    let Some(audit) = by(&pair, "t1") else { return };
    let cost = |what: &str| {
        let o = pair.bypass("$P/writes $S/outside").ok();
        println!("NOTE: {what}, outside the legs: {}", o.text().trim());
        let o = pair.run("$P/writes $V/f").ok();
        println!("NOTE: {what}, mirrored: {}", o.text().trim());
    };
    cost("t1");
    assert_eq!(audit.end().code, 0);
    let Some(audit) = by(&pair, "t2") else { return };
    cost("t2");
    assert_eq!(audit.end().code, 0);
    cost("no audit");
}
