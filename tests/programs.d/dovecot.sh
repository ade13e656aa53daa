# title: Dovecot
# group: Servers
# does: LMTP deliveries and IMAP (append, flags, copy, move, expunge) to a Maildir, as another user than the server's
# needs: dovecot /usr/lib/dovecot/lmtp /usr/lib/dovecot/imap python3
# packages: dovecot-imapd dovecot-lmtpd python3
# version: dovecot --version

prepare() { chown mail:mail .; chmod 2770 .; }

work() {
    chmod 711 "$S"; cat > "$S/conf" <<CONF
base_dir = $S/run
state_dir = $S/run
log_path = $S/log
protocols = imap lmtp
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
mail_location = maildir:$PWD/%u
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=mail gid=mail home=$PWD/%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $PORT
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
service anvil {
  chroot =
}
CONF
    dovecot -c "$S/conf"; until_ok grep -q 'starting up' "$S/log"
    PORT=$PORT LMTP=$S/run/lmtp /usr/bin/python3 - <<'PY' || { tail -n 20 "$S/log" >&2; dovecot -c "$S/conf" stop; exit 1; }
import imaplib, os, smtplib, socket
class Local(smtplib.LMTP):
    pass
m = smtplib.LMTP(os.environ["LMTP"])
for i in range(10): m.sendmail("a@example.org", ["u@example.org"], f"Subject: {i}\r\n\r\nbody {i}\r\n")
m.quit()
c = imaplib.IMAP4("127.0.0.1", int(os.environ["PORT"])); c.login("u@example.org", "x")
def ok(r):
    assert r[0] == "OK", r
    return r
ok(c.create("Box")); ok(c.select("INBOX")); ok(c.store("1:3", "+FLAGS", r"(\Seen)")); ok(c.copy("4:6", "Box")); ok(c.store("7:8", "+FLAGS", r"(\Deleted)")); ok(c.expunge())
ok(c.append("Box", r"(\Flagged)", None, b"Subject: appended\r\n\r\nx\r\n")); ok(c.rename("Box", "Renamed")); ok(c.uid("MOVE", "1:2", "Renamed")); c.logout()
PY
    pid=$(cat "$S/run/master.pid"); dovecot -c "$S/conf" stop; until_gone "$pid"
}

check() {
    for d in u@example.org u@example.org/.Renamed; do find "$d/cur" "$d/new" -type f | sed 's/.*:2/:2/; s,.*/new/.*,new,' | sort | uniq -c; cat "$d"/cur/* "$d"/new/* 2>/dev/null | grep Subject | sort; done
    stat -c '%U %a' u@example.org
}
