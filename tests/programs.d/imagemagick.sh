# title: ImageMagick
# group: Media
# does: convert, mogrify in place, montage, identify; with its pixel cache on disk
# needs: convert mogrify montage
# packages: imagemagick
# version: convert --version

work() {
    for i in 1 2 3; do convert -size 200x150 gradient:red-blue -rotate $((i * 30)) +set date:create +set date:modify $i.png; done
    convert 1.png -resize 50% 1.jpg; mogrify -negate 2.png; mogrify -format gif 3.png; montage 1.png 2.png -geometry 100x100 m.png; MAGICK_TMPDIR=$PWD convert -limit memory 0 -limit map 0 1.png -blur 0x2 b.png; convert 1.png 2.png 3.png doc.tiff
}

check() {
    identify -format '%f %wx%h %m %#\n' *.png *.jpg *.gif *.tiff; ls
}
