//! The tables: who may use whom, and where statics are, and why.

/// The rooms of a crate (files and folders of its src) and the rooms that each may use.
pub type Rooms = &'static [(&'static str, &'static [&'static str])];

/// From the ground up (docs/ARCHITECTURE.md says what is in them).
pub const ROOMS: &[(&str, Rooms)] = &[
    (
        "shim",
        &[
            ("regs", &[]),
            ("tables", &[]),
            ("cell", &[]),
            ("texts", &["cell"]),
            ("config", &["cell", "texts"]),
            ("arch", &[]),
            ("program", &["cell", "texts"]),
            ("process", &["regs", "tables"]),
            ("user", &["tables"]),
            ("events", &["config"]),
            ("attach", &["config", "events", "process", "tables"]),
            ("path", &["attach", "config", "events", "process", "tables"]),
            ("repair", &["attach", "path", "process"]),
            (
                "change",
                &[
                    "attach", "config", "events", "path", "process", "regs", "repair",
                ],
            ),
            (
                "net",
                &[
                    "arch", "cell", "process", "program", "regs", "tables", "user",
                ],
            ),
            (
                "calls",
                &[
                    "arch", "attach", "change", "config", "events", "net", "path", "process",
                    "program", "regs", "repair", "tables", "user",
                ],
            ),
            (
                "door",
                &["arch", "calls", "net", "process", "regs", "tables"],
            ),
            (
                "boot",
                &[
                    "arch", "calls", "cell", "config", "door", "net", "process", "program",
                    "tables",
                ],
            ),
        ],
    ),
    (
        "loader",
        &[
            ("fail", &[]),
            ("image", &[]),
            ("output", &[]),
            ("text", &[]),
            ("tree", &["fail", "text"]),
            ("verdict", &["image"]),
            ("pair", &["fail", "text", "tree"]),
            ("signal", &["tree"]),
            ("sync", &["fail", "output", "pair", "text", "tree"]),
            ("launch", &["fail", "signal", "sync", "text", "tree"]),
            ("audit", &["fail", "launch", "pair", "sync", "text", "tree"]),
            (
                "cmd",
                &[
                    "audit", "fail", "launch", "output", "pair", "signal", "sync", "text", "tree",
                ],
            ),
            ("cli", &["cmd", "fail", "output", "text"]),
        ],
    ),
    (
        "sim",
        &[
            ("fault", &[]),
            ("memo", &[]),
            ("rng", &[]),
            ("tree", &[]),
            ("disk", &["tree"]),
            ("op", &["rng", "tree"]),
            ("effect", &["op", "tree"]),
            ("world", &["disk", "effect", "fault", "op", "rng", "tree"]),
            ("crash", &["fault", "rng", "tree", "world"]),
            ("oracle", &["effect", "fault", "op", "tree", "world"]),
            ("proc", &["effect", "fault", "memo", "op", "tree", "world"]),
            ("repair", &["effect", "tree", "world"]),
            ("port", &["fault", "memo", "op", "proc", "world"]),
            ("calls", &["op", "proc"]),
            (
                "legs",
                &["calls", "effect", "fault", "op", "proc", "tree", "world"],
            ),
            (
                "writes",
                &["effect", "fault", "legs", "op", "proc", "tree", "world"],
            ),
            (
                "equal",
                &["effect", "fault", "legs", "port", "proc", "tree", "world"],
            ),
            ("steps", &["effect", "fault", "op", "port", "proc", "world"]),
            (
                "io",
                &[
                    "calls", "fault", "legs", "op", "port", "proc", "tree", "world",
                ],
            ),
            (
                "plan",
                &["effect", "fault", "op", "port", "proc", "tree", "world"],
            ),
            (
                "recover",
                &[
                    "effect", "equal", "fault", "op", "port", "proc", "tree", "world",
                ],
            ),
            (
                "run",
                &["fault", "op", "oracle", "proc", "rng", "steps", "world"],
            ),
            ("explore", &["proc", "run"]),
            ("joining", &[]),
            ("locking", &[]),
        ],
    ),
];

/// Files with statics, and what these are.
pub const STATICS: &[(&str, &str)] = &[
    (
        "shim/src/arch/gates.rs",
        "what the assembler of the net reads",
    ),
    (
        "shim/src/attach/again.rs",
        "how often leg b was opened again",
    ),
    (
        "shim/src/attach/holder.rs",
        "this process among those that take lock words",
    ),
    ("shim/src/attach/past.rs", "what the process was before"),
    ("shim/src/attach/session.rs", "the table of attached pairs"),
    ("shim/src/boot/entry.rs", "boot runs once"),
    ("shim/src/boot/start.rs", "boot has no stack for this"),
    (
        "shim/src/calls/exec/call.rs",
        "memory that a child of vfork leaves to its parent",
    ),
    (
        "shim/src/calls/cores.rs",
        "whether the process may leave a core file",
    ),
    (
        "shim/src/calls/names/two.rs",
        "whether a directory was renamed last",
    ),
    (
        "shim/src/calls/exec/count.rs",
        "whether the process is known as a debugger",
    ),
    (
        "shim/src/calls/paired/outer.rs",
        "pairs whose files were changed by names outside",
    ),
    (
        "shim/src/calls/mapped/marks.rs",
        "whether a copy of this process holds entries with it",
    ),
    (
        "shim/src/calls/mapped/table.rs",
        "what this process has mapped",
    ),
    ("shim/src/calls/pages.rs", "where the heap ended"),
    (
        "shim/src/calls/readers.rs",
        "whether a shared mapping was let through",
    ),
    (
        "shim/src/calls/process.rs",
        "how the last copy of this process was made",
    ),
    (
        "shim/src/calls/rules.rs",
        "the process's own filters, which hold until it ends",
    ),
    (
        "shim/src/calls/sandbox.rs",
        "what becomes of the process below its filter",
    ),
    ("shim/src/change/border.rs", "borders that were judged"),
    (
        "shim/src/change/held.rs",
        "whether a change was held before",
    ),
    (
        "shim/src/change/judged.rs",
        "differences that are on record",
    ),
    (
        "shim/src/change/keys.rs",
        "directories and their generation",
    ),
    ("shim/src/change/patience.rs", "how long root has waited"),
    (
        "shim/src/change/port.rs",
        "what was busy, for the wait outside",
    ),
    (
        "shim/src/change/target.rs",
        "the name of a change that has none",
    ),
    ("shim/src/config.rs", "the configuration"),
    ("shim/src/events/refused.rs", "what was said already"),
    (
        "shim/src/net/arming.rs",
        "whether calls are dispatched, and where libc's gates are",
    ),
    ("shim/src/net/clones.rs", "clones under way"),
    ("shim/src/net/late.rs", "which threads are armed"),
    ("shim/src/net/needed.rs", "what was there at boot"),
    (
        "shim/src/net/signals.rs",
        "what the program does with SIGSYS",
    ),
    (
        "shim/src/net/stacks.rs",
        "memory that threads have as signal stacks",
    ),
    ("shim/src/path/cwd.rs", "what is known of the cwd"),
    (
        "shim/src/path/dirs.rs",
        "what is known of descriptors of directories",
    ),
    (
        "shim/src/path/doors.rs",
        "what mounts show, for a moment; where the legs lay",
    ),
    (
        "shim/src/path/known.rs",
        "directories that were looked at, for a moment",
    ),
    ("shim/src/path/proofs.rs", "proofs of a few milliseconds"),
    ("shim/src/path/root.rs", "roots that lie in no leg"),
    (
        "shim/src/path/roots.rs",
        "the legs' roots, for a few milliseconds",
    ),
    (
        "shim/src/path/listed.rs",
        "whether files have names outside their leg, for a moment",
    ),
    ("shim/src/path/sticky.rs", "settings of the kernel"),
    ("shim/src/path/way.rs", "the way that was found last"),
    ("shim/src/process/actor.rs", "whose memory this is"),
    ("shim/src/process/fds.rs", "what is known of descriptors"),
    (
        "shim/src/process/look.rs",
        "the next mark of a look, and numbers that turn",
    ),
    ("shim/src/process/place.rs", "where the process stands"),
    ("shim/src/process/scratch.rs", "the pool of scratch stacks"),
    (
        "shim/src/program/env.rs",
        "what the environment said at boot",
    ),
    ("shim/src/repair/names.rs", "what was counted"),
    ("shim/src/repair/same.rs", "pairs without links"),
    ("shim/src/tables.rs", "what the stubs read"),
    ("shim/src/texts.rs", "texts of the configuration"),
    (
        "shim/src/user.rs",
        "how often pages went away, and whether others provide them",
    ),
    ("sys/src/bytes.rs", "locks that are not to be asked for"),
    ("sys/src/calls.rs", "the descriptor of /proc that is kept"),
    ("sys/src/gate.rs", "calls that are not to be made"),
    ("sys/src/probe.rs", "which call memory is asked for by"),
    ("sys/src/raw.rs", "the gate of all calls"),
    ("sys/src/walk.rs", "whether openat2 is refused"),
];
