# title: OpenJDK, a mapped file
# group: Languages and their tools
# does: FileChannel.map for writing
# needs: java javac
# packages: openjdk-17-jdk-headless
# version: java -version
# refused: No such device
# note: a writable shared mapping, which is refused (LIMITS.md).

work() {
    printf '%s\n' 'import java.nio.*; import java.nio.channels.*; import java.nio.file.*; public class M { public static void main(String[] x) throws Exception { try (FileChannel c = FileChannel.open(Path.of("m"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) { MappedByteBuffer b = c.map(FileChannel.MapMode.READ_WRITE, 0, 4096); b.put(0, (byte) 7); b.force(); } } }' > M.java
    javac -d "$S" M.java; java -cp "$S" M
}

check() { sha256sum m; }
