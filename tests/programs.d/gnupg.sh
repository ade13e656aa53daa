# title: GnuPG, OpenSSL
# group: Files and archives
# does: a key made in a home in the directory (agent and lock files), sign, encrypt, decrypt, verify; openssl keys, certificates and an index
# needs: gpg gpgconf openssl
# packages: gnupg openssl
# version: gpg --version

work() {
    export GNUPGHOME=$PWD/g; mkdir -m 700 g; echo secret > text
    gpg -q --batch --passphrase '' --quick-gen-key 'A <a@example.org>' ed25519 default never 2>/dev/null; gpg -q --batch --passphrase '' --quick-add-key $(gpg --list-keys --with-colons 2>/dev/null | sed -n 's/^fpr:*//;T;s/:.*//p' | head -1) cv25519 encr never 2>/dev/null
    gpg -q --batch -o text.sig --sign text 2>/dev/null; gpg -q --batch --trust-model always -r a@example.org -o text.gpg -e text 2>/dev/null; gpg -q --batch -o decrypted -d text.gpg 2>/dev/null; gpg -q --batch --armor --export > public.asc; gpgconf --kill all
    mkdir ca; touch ca/index; echo 01 > ca/serial; openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -keyout ca/key -out ca/cert -days 99 2>/dev/null
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=ca/index\nserial=ca/serial\nnew_certs_dir=ca\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' > cnf; for n in 1 2; do openssl req -newkey rsa:2048 -nodes -subj /CN=s$n -keyout s$n.key -out s$n.csr 2>/dev/null; openssl ca -batch -config cnf -in s$n.csr -out s$n.crt -keyfile ca/key -cert ca/cert -days 9 2>/dev/null; done
    openssl enc -aes-256-cbc -pbkdf2 -k pass -in text -out text.enc
}

check() {
    GNUPGHOME=$PWD/g gpg --batch -q --verify text.sig 2>/dev/null && echo good; cat decrypted; openssl verify -CAfile ca/cert s1.crt s2.crt; openssl enc -d -aes-256-cbc -pbkdf2 -k pass -in text.enc; cut -f1,4 ca/index; cat ca/serial; GNUPGHOME=$PWD/g gpgconf --kill all
}
