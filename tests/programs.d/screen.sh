# title: screen, tmux
# group: Shells around programs
# does: detached sessions whose programs work in the directory, logs, sockets in it
# needs: screen tmux
# packages: screen tmux
# version: tmux -V

work() {
    mkdir -m 700 sockets; SCREENDIR=$PWD/sockets screen -dmS s -L -Logfile "$PWD/screen.log" sh -c 'seq 500 > by-screen; mv by-screen moved; echo done > screen-done'; until_ok test -e screen-done
    tmux -S "$PWD/tmux.sock" -f /dev/null new-session -d 'seq 700 > by-tmux; mkdir t; cp by-tmux t/; touch tmux-done; sleep 1'; until_ok test -e tmux-done; tmux -S "$PWD/tmux.sock" kill-server || :
    until_ok sh -c '! ls sockets/* tmux.sock 2>/dev/null | grep -q sockets'
}

check() { sha256sum moved by-tmux t/by-tmux; ls sockets; }
