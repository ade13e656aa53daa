# title: 7-Zip
# group: Files and archives
# does: pack (solid, parts), update, rename and delete members, unpack
# needs: 7z
# packages: p7zip-full
# version: 7z

work() {
    tree 60
    7z a -bd -mmt2 a.7z d0 d1 d2 >/dev/null; echo more >> d1/f10; 7z u -bd a.7z d1 d3 >/dev/null; 7z d -bd a.7z d0 >/dev/null
    7z rn -bd a.7z d2/f20 d2/renamed >/dev/null; 7z x -bd -oout a.7z >/dev/null
    head -c 300000 /dev/zero > zero; 7z a -bd -mx0 -v100k parts.7z zero >/dev/null; 7z a -bd -sdel gone.zip d5 >/dev/null
}

check() {
    7z t -bd a.7z | grep -E 'Files|Folders|Ok'; 7z t -bd parts.7z.001 | grep -E 'Files|Ok'; sums out; ls
}
