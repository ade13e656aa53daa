//! Ordinary uses of a directory, one test each: the output, exit code and error names of a plain
//! directory are those of V, and the trees are equal afterwards.
use mirror_tests::{Pair, compile, each_kind, need};

/// Declares one use per line: a name and a bash script.
macro_rules! uses {
    ($($name:ident: $script:expr;)+) => {
        each_kind! { $(fn $name(pair) { both(pair, $script); })+ }
    };
}

/// Runs one use both ways. `py NAME` in a script runs a case of the Python text, `calls NAME` one of the C text.
fn both(pair: &Pair, script: &str) {
    if script.contains("py ") {
        need!("python3");
        std::fs::write(
            pair.programs().join("uses.py"),
            include_str!("../programs/uses.py"),
        )
        .unwrap();
    }
    if script.contains("calls ")
        && compile(
            &pair.programs(),
            "calls",
            include_str!("../programs/calls.c"),
        )
        .is_none()
    {
        return;
    }
    pair.both(&format!("py() {{ /usr/bin/python3 -B $P/uses.py \"$@\"; }}; calls() {{ $P/calls \"$@\"; }}; {script}"));
}

uses! {
    // ---- paths
    absolute_path: "echo x > $V/f; cat $V/f; mkdir $V/d; mv $V/f $V/d/g; rm $V/d/g; rmdir $V/d; ls -A $V/";
    cwd_in_v: "cd $V; echo x > f; mkdir d; cd d; echo y > g; cat ../f g; cd ..; rm f; find . | sort";
    relative_path_from_outside: "cd $V/..; n=${V##*/}; echo x > $n/f; mkdir -p $n/d/e; echo y > $n/d/e/g; cat $n/f; rm $n/f; find $n/ | sort | sed s,^$n,V,";
    double_slash: "echo x > /$V//f; mkdir -p $V///d//e; echo y >> $V//d/e///g; cat $V/f $V/d//e/g; rm //$V//f; find $V/ | sort";
    dot_components: "echo x > $V/./f; mkdir $V/././d/; echo y > $V/d/./g; mv $V/./f $V/d/.; ls $V/d/./";
    dotdot_components: "mkdir $V/d; echo x > $V/d/../f; echo y > $V/d/../d/g; rm $V/d/../f; cd $V/d; echo z > ../h; mkdir ../e; cd ../e; echo w > ../d/../k; find $V/ | sort";
    dotdot_of_v: "mkdir $V/d; cd $V; ls -d ../../a > /dev/null; echo x > ../${PWD##*/}/f 2>/dev/null; ls";
    symlink_from_outside: "ln -s $V $S/to; mkdir $V/d; ln -s $V/d $S/tod; echo x > $S/to/f; echo y > $S/tod/g; mv $S/to/f $S/tod/h; mkdir $S/to/e; rm $S/tod/g; cd $S/to; echo z > viacwd; rm $S/to $S/tod; find $V/ | sort";
    symlink_from_outside_to_a_file: "echo x > $V/f; ln -s $V/f $S/l; echo y >> $S/l; truncate -s 3 $S/l; chmod 600 $S/l; cat $V/f; ln -s $V/new $S/n; echo made > $S/n; cat $V/new; rm $S/l $S/n";
    relative_symlink_inside: "cd $V; mkdir d real; ln -s ../real d/l; echo x > d/l/f; ln -s real/f g; echo y >> g; cat real/f; ln -s ../../../x dangling; rm d/l/f; mkdir d/l/sub; find . | sort";
    absolute_symlink_inside: "cd $V; mkdir real; ln -s $V/real d; echo x > d/f; echo more >> d/f; ln -s $V/real/f lf; truncate -s 3 lf; cat real/f; rm d/f; echo again > d/g; mkdir d/e; mv d/g d/e/; find . | sort";
    dangling_symlink_created_through: "cd $V; ln -s target l; echo x > l; cat target; ln -s $V/abs la; echo y > la; cat abs; ln -s none/x bad; echo z > bad; echo $?; readlink l bad";
    symlink_loop: "cd $V; ln -s b a; ln -s a b; echo x > a; echo $?; mkdir a/c; echo $?; rm a; ls";
    out_of_v_through_a_symlink: "mkdir $S/out; ln -s $S/out $V/o; echo x > $V/o/f; mkdir $V/o/d; cat $S/out/f; rm -r $V/o/d $S/out; ls -l $V/ | wc -l";
    names_not_utf8: r#"cd $V; n=$(printf 'a\377\376b'); echo x > "$n"; mkdir "d$n"; mv "$n" "d$n/"; ls -bR"#;
    names_with_newline_and_blanks: r#"cd $V; echo x > 'a
b'; mkdir ' d '; mv 'a
b' ' d /	tab'; echo y > '*'; echo z > '"q'"'"'\'; echo w > -- '-n'; ls -bR; rm -- ./-n '*'; ls -b"#;
    longest_names: "cd $V; n=$(printf 'n%.0s' $(seq 255)); echo x > $n; mkdir d$(printf 'd%.0s' $(seq 254)); mv $n d*/; ls -R | cksum; echo y > n$n; echo $?; mkdir x$n; echo $?";
    longest_path: "py longest_path";
    deep_tree: "cd $V; p=$(printf 'd/%.0s' $(seq 300)); mkdir -p $p; echo x > $p/f; for i in $(seq 150); do cd d; done; echo y > here; find . | wc -l; cd $V; cat $p/f; mv d e; rm -r e; ls -A";
    many_names: "cd $V; touch $(seq 1 3000); ls | wc -l; rm *5; ls | wc -l; mkdir d; mv *7 d; ls d | wc -l; rm -r d; ls | wc -l";
    proc_self_fd: "cd $V; exec 3> f; echo x > /proc/self/fd/3; echo y >> /dev/fd/3; readlink /proc/self/fd/3; ls /proc/self/fd | tr '\\n' ' '; exec 3>&-; exec 4< .; echo z > /proc/self/fd/4/g; echo w > /proc/self/cwd/h; cat f g h";
    pwd_and_realpath: "mkdir $V/d; cd $V/d; /bin/pwd; realpath .; readlink -f ../d; py getcwd";

    // ---- descriptors
    dirfds: "py dirfds";
    dirfd_after_rename: "py dirfd_after_rename";
    append_by_several_descriptors: "cd $V; exec 3>>f 4>>f; for i in 1 2 3; do echo a$i >&3; echo b$i >&4; (echo c$i >&3); done; echo d >> f; cat f; py appenders";
    dup_family: "calls dup_family";
    dup2_onto_a_mirrored_descriptor: "calls dup2_onto";
    close_range: "calls close_range";
    closing_all_descriptors: "calls close_all";
    held_descriptor_without_environment: "cd $V; exec 5>held; env -i sh -c 'echo x >&5'; echo y >&5; env -i sh -c 'exec sh -c \"echo z >&5\"'; exec 5>&-; cat held";
    clean_environment: "cd $V; env -i env; env -i /bin/sh -c 'echo x > f; /bin/mkdir d'; env -i PATH=$PATH bash -c 'echo y >> f; mv f d/'; cat d/f";
    environment_is_unchanged: "env | grep -v -E '^(LD_PRELOAD|MIRROR[A-Z_]*|V|S|A|B|TMPDIR|PWD|OLDPWD|_|SHLVL)=' | sort; env -u LD_PRELOAD sh -c 'echo x > $V/f'; cat $V/f";
    low_soft_descriptor_limit: "cd $V; ulimit -Sn 20; calls until_emfile; echo after > f; cat f; ulimit -n";
    descriptor_limit_is_kept: "ulimit -Sn 1024; ulimit -n; ulimit -Hn; cd $V; exec 3> f; ulimit -n; sh -c 'ulimit -n'; env -i sh -c 'ulimit -n'; cat /proc/self/limits | grep 'open files' | tr -s ' '";
    numbers_of_descriptors: "py numbers";
    unlinked_while_open: "cd $V; exec 3<>f; echo a >&3; rm f; echo b >&3; cat /proc/self/fd/3; exec 3>&-; ls -A; py unlinked";
    renamed_while_open: "cd $V; exec 3>f; echo a >&3; mv f g; echo b >&3; mkdir d; mv g d/h; echo c >&3; echo new > f; echo d >&3; exec 3>&-; cat f d/h";
    read_and_write_share_a_position: "py shared_position";
    positions_and_seeks: "py positions";
    vectors_and_flags: "py vectors";
    truncate_and_fallocate: "calls truncates";
    sparse_files: "cd $V; truncate -s 10M s; printf x | dd of=s bs=1 seek=5000000 conv=notrunc status=none; cksum s; fallocate -p -o 0 -l 4096 s; cp --sparse=always s t; cmp s t; du -k s t | awk '{print ($1 < 100)}'";
    tmpfile_and_linkat: "calls tmpfile";
    open_flags: "calls open_flags";
    o_direct_and_sync: "py sync_flags";
    partial_and_bad_buffers: "calls bad_buffers";
    pipes_and_sendfile: "py copy_calls";
    descriptors_over_a_socket: "py scm_rights";

    // ---- entries
    errors_of_entries: "py entry_errors";
    parents_that_are_no_directories: "py odd_parents";
    rename_flags: "calls rename_flags";
    rename_between_v_and_outside: "cd $V; echo x > f; mkdir d; mv f $S/f; mv d $S/d; echo y > $S/g; mv $S/g $S/d .; rm $S/f; py cross_rename; find . | sort";
    hard_links: "cd $V; echo x > f; ln f g; mkdir d; ln f d/h; echo y >> g; stat -c '%h %s' f g d/h; rm f; echo z >> d/h; cat g; mv g d/g; stat -c %h d/g; ln d/g d/g; echo $?; ln -P d/h hh; stat -c %h hh; chmod 600 hh; stat -c %a d/g";
    roots_are_busy: "py roots";
    fifo: "cd $V; mkfifo p; cat p > out & echo through > p; wait; cat out; mkfifo -m 600 q; stat -c '%F %a' p q; mv p r; rm q; ls";
    unix_socket: "py unix_socket";
    device_nodes: "cd $V; mknod n c 1 3; echo $?; test ! -e n || { echo x > n; stat -c '%F %t %T' n; rm n; }; ls -A";
    dot_mirror_is_hidden: "cd $V; ls -A; ls -a | wc -l; echo .*; find . ; cat .mirror/leg; echo $?; mkdir .mirror/x; echo $?; rm -rf .mirror; echo $?; stat .mirror 2>&1 | tail -c 30; echo > .mirror/f; echo $?; touch .mirrorx; rm -rf ./* ./.m*; ls -A";
    remove_everything: "cd $V; mkdir -p a/b c; touch f a/g .h; rm -rf $V/*; ls -A; touch x; find $V/ -mindepth 1 -delete; ls -A;";
    glob_and_dotglob: "cd $V; touch a .b c; shopt -s dotglob; echo *; rm -rf -- *; echo *; ls -A";

    // ---- attributes
    umask: "cd $V; umask 077; echo x > a; mkdir b; umask 000; echo x > c; mkdir d; mkfifo e; umask 027; sh -c 'echo x > f; umask 002; mkdir g'; stat -c '%a %n' *";
    setgid_directories: "cd $V; mkdir d; chgrp $(id -G | tr ' ' '\\n' | tail -1) d; chmod 2775 d; mkdir d/e; echo x > d/f; stat -c '%a %g %n' d d/e d/f | sed s/$(id -g)/G/";
    sticky_directories: "cd $V; mkdir d; chmod 1777 d; echo x > d/f; stat -c '%a %n' d d/f; rm d/f; chmod -t d; stat -c %a d";
    modes_by_path_and_descriptor: "py modes";
    owners: "py owners";
    times: "py times";
    mtime_after_write_is_equal: "cd $V; echo x > f; sleep 0.02; echo y >> f; (sleep 0.02; echo z) >> f; exec 3>> f; echo w >&3; sleep 0.02; touch g; cp -p f g; test f -nt g; echo $?";
    xattrs: "py xattrs";
    acls: "cd $V; echo x > f; mkdir d; setfacl -m u:1:r f; setfacl -d -m g:2:rwx d; getfacl -cn f d; echo y > d/g; mkdir d/e; getfacl -cn d/g d/e; setfacl -b f; stat -c %a f d/g";
    read_only_modes: "cd $V; echo x > f; chmod 0 f; mkdir d; chmod 500 d; echo y > d/g; r=$?; cat f; echo $r $?; exec 3> h; chmod 400 h; echo z >&3; exec 3>&-; cat h; chmod 700 d; chmod 600 f";

    // ---- programs and processes
    script_with_a_path_of_v: "printf '#!/bin/sh\\necho $0 $1; echo out > $V/made\\n' > $V/s; chmod +x $V/s; $V/s 1; cd $V; ./s 2; sh s 3; cp /bin/sh mysh; printf '#!%s/mysh\\necho via $0\\n' $V > t; chmod +x t; ./t; cat made";
    library_in_v: "cd $V; mkdir lib; cp $(ldd /bin/ls | awk '/libc.so/ {print $3}') lib/copy.so; ls -l lib/copy.so | wc -l; py dlopen";
    runpath_in_v: "command -v cc > /dev/null || exit 0; cd $V; printf 'int g(void){return 42;}\\n' > g.c; printf 'int g(void);int main(void){return g();}\\n' > m.c; cc -shared -fPIC -Wl,--build-id=none -o libg.so g.c; cc -Wl,--build-id=none -o $S/m m.c -L. -lg -Wl,-rpath,$V; $S/m; echo $?; LD_LIBRARY_PATH=$V $S/m; echo $?; rm $S/m";
    locks_of_the_program: "py locks";
    flock_command: "cd $V; for i in 1 2 3 4 5 6; do flock l sh -c 'n=$(cat n 2>/dev/null || echo 0); sleep 0.01; echo $((n+1)) > n' & done; wait; cat n; exec 9> l; flock 9; flock -n l true; echo $?; flock -u 9; flock -n l echo free";
    fork_and_wait: "cd $V; for i in $(seq 20); do (echo $i > f$i; echo $i >> all) & done; wait; sort -n all; ls | wc -l; rm f* all";
    pipelines: "cd $V; seq 1000 | sort -R | tee a | sort -n > b; seq 1000 | cmp - b; (cat a; cat b) | wc -l > c; cat c; sort a -o a; cat a | tail -1; yes | head -c 300000 > y; cksum y";
    signal_mask_of_children: "cd $V; echo x > f; grep -h -E 'SigBlk|SigCgt|SigPnd' /proc/self/status | sed '/SigCgt/s/[4-7]\\(.......\\)$/0\\1/'; (grep -h SigBlk /proc/self/status); env -i grep -h SigBlk /proc/self/status; py signals";
    killed_by_a_signal: "cd $V; bash -c 'echo x > f; kill -TERM $$'; echo $?; bash -c 'trap \"echo t >> f\" TERM; kill -TERM $$; echo after >> f'; cat f; sh -c 'while :; do echo l >> g; echo >> $S/h; sleep 0.5; done' & p=$!; until test -s $S/h; do sleep 0.02; done; kill $p; wait $p; echo $?; test -s g; echo > g";
    background_daemon: "cd $V; setsid sh -c 'sleep 0.1; echo late > late' < /dev/null > log 2>&1 & wait; until test -s late; do sleep 0.02; done; cat late log";
    vfork_child_changes_directory: "py vfork";
    file_watchers: "py inotify";
    statfs_and_space: "cd $V; df . > /dev/null && echo ok; stat -f -c %l .; py statvfs";
    directory_streams: "py directories";
    stdio_of_c: "calls stdio";
    mapping_for_reading: "py read_mapping";
    threads: "py threads";
}
