# title: OpenJDK, threads
# group: Languages and their tools
# does: sixteen threads that write, rename and append, virtual file watching, a subprocess
# needs: java javac
# packages: openjdk-17-jdk-headless
# version: java -version
# limit: 600

work() {
    cat > Job.java <<'JAVA'
import java.nio.file.*; import java.util.concurrent.*; import java.nio.channels.*; import java.nio.*;
public class Job {
    public static void main(String[] x) throws Exception {
        ExecutorService e = Executors.newFixedThreadPool(16);
        for (int n = 0; n < 64; n++) { int k = n; e.submit(() -> { Path p = Path.of("part" + k); Files.writeString(p, ("thread " + k + "\n").repeat(500)); Files.move(p, Path.of("done" + k), StandardCopyOption.ATOMIC_MOVE); try (FileChannel c = FileChannel.open(Path.of("log"), StandardOpenOption.CREATE, StandardOpenOption.APPEND)) { c.write(ByteBuffer.wrap("entry\n".getBytes())); } return null; }); }
        e.shutdown(); e.awaitTermination(5, TimeUnit.MINUTES);
        AsynchronousFileChannel a = AsynchronousFileChannel.open(Path.of("async"), StandardOpenOption.CREATE, StandardOpenOption.WRITE); for (int i = 0; i < 50; i++) a.write(ByteBuffer.wrap(new byte[1000]), i * 1000L).get(); a.close();
        new ProcessBuilder("sh", "-c", "cat log | wc -l > counted").inheritIO().start().waitFor();
    }
}
JAVA
    javac Job.java; java -XX:-UsePerfData -cp . Job
}

check() { sha256sum done* log async counted | sort; }
