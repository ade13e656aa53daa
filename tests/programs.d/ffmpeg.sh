# title: FFmpeg
# group: Media
# does: encode to Matroska, to MP4 with +faststart, segments and a playlist, images, concatenate without encoding
# needs: ffmpeg ffprobe
# packages: ffmpeg
# version: ffmpeg -version
# limit: 600

work() {
    f="ffmpeg -nostdin -v error -threads 1 -bitexact"
    $f -f lavfi -i testsrc=d=4:s=160x120:r=10 -f lavfi -i sine=d=4 -c:v mpeg4 -flags bitexact -c:a aac -flags:a bitexact a.mkv; $f -i a.mkv -c copy -movflags +faststart a.mp4
    mkdir seg; $f -i a.mkv -c copy -f hls -hls_time 1 -hls_list_size 0 seg/list.m3u8; $f -i a.mkv -vf fps=2 f%02d.png; printf 'file a.mkv\nfile a.mkv\n' > list; $f -f concat -i list -c copy -y joined.mkv; $f -i a.mp4 -c copy -y joined.avi
}

check() {
    for f in a.mkv a.mp4 joined.mkv joined.avi seg/list.m3u8; do ffmpeg -nostdin -v error -i $f -f md5 -; ffprobe -v error -show_entries format=duration,nb_streams -of csv $f; done; ls . seg
}
