# title: OpenJDK
# group: Languages and their tools
# does: javac, jar, NIO channels, locks, transferTo, a mapping for reading, atomic moves, RandomAccessFile, zip
# needs: java javac jar
# packages: openjdk-17-jdk-headless
# version: java -version
# limit: 600

work() {
    cat > Job.java <<'JAVA'
import java.io.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.nio.file.attribute.*; import java.util.zip.*;
public class Job {
    public static void main(String[] x) throws Exception {
        Files.createDirectories(Path.of("a/b"));
        for (int i = 0; i < 40; i++) Files.writeString(Path.of("a/f" + i), "file " + i + "\n");
        Files.move(Path.of("a/f1"), Path.of("a/b/f1"), StandardCopyOption.ATOMIC_MOVE); Files.copy(Path.of("a/f2"), Path.of("a/b/f2"), StandardCopyOption.COPY_ATTRIBUTES); Files.delete(Path.of("a/f3"));
        Files.createSymbolicLink(Path.of("soft"), Path.of("a")); Files.createLink(Path.of("hard"), Path.of("a/f4")); Files.setPosixFilePermissions(Path.of("a/f5"), PosixFilePermissions.fromString("rw-------"));
        for (int i = 0; i < 20; i++) Files.writeString(Path.of("log"), "entry " + i + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        try (FileChannel c = FileChannel.open(Path.of("channel"), StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.READ)) {
            try (FileLock l = c.lock()) { c.write(ByteBuffer.allocate(100000), 5000); c.truncate(60000); c.write(new ByteBuffer[] { ByteBuffer.wrap("ab".getBytes()), ByteBuffer.wrap("cd".getBytes()) }); c.force(true); }
            c.map(FileChannel.MapMode.READ_ONLY, 0, 100).get(3);
            try (FileChannel t = FileChannel.open(Path.of("transferred"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) { c.transferTo(0, c.size(), t); }
        }
        try (RandomAccessFile r = new RandomAccessFile("random", "rwd")) { r.setLength(1000); r.seek(500); r.writeUTF("text"); }
        try (ZipOutputStream z = new ZipOutputStream(new FileOutputStream("z.zip"))) { z.putNextEntry(new ZipEntry("e")); z.write(new byte[5000]); z.closeEntry(); }
        Path t = Files.createTempFile(Path.of("."), "t", "x"); Files.move(t, Path.of("named"), StandardCopyOption.REPLACE_EXISTING);
    }
}
JAVA
    javac Job.java; java -XX:-UsePerfData -cp . Job; jar cf job.jar Job.class
}

check() {
    sums a; sha256sum log channel transferred random named; readlink soft; stat -c %h hard; jar tf job.jar; unzip -tq z.zip 2>/dev/null || :
}
