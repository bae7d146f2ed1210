import java.io.IOException;
import java.lang.instrument.Instrumentation;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;

/** Keeps Keycloak's clock as many seconds ahead as a file says, for rehearsals that move months ahead. A Java agent. */
public final class Clock {
    private static final String TIME = "org.keycloak.common.util.Time"; // all of Keycloak asks it

    public static void premain(String file, Instrumentation loaded) {
        Thread follower = new Thread(() -> follow(Path.of(file), loaded), "rehearsal-clock");
        follower.setDaemon(true);
        follower.start();
    }

    private static void follow(Path file, Instrumentation loaded) {
        Method setOffset = null;
        int offset = 0;
        try {
            while (true) {
                Thread.sleep(100);
                if (setOffset == null) {
                    setOffset = find(loaded);
                } else if (read(file) != offset) {
                    offset = read(file);
                    setOffset.invoke(null, offset);
                }
            }
        } catch (ReflectiveOperationException | InterruptedException problem) {
            System.err.println("The rehearsal's clock stands still: " + problem);
        }
    }

    private static Method find(Instrumentation loaded) throws NoSuchMethodException {
        for (Class<?> one : loaded.getAllLoadedClasses()) {
            if (one.getName().equals(TIME)) {
                return one.getMethod("setOffset", int.class);
            }
        }
        return null;
    }

    private static int read(Path file) {
        try {
            return Integer.parseInt(Files.readString(file).strip());
        } catch (IOException | NumberFormatException absent) {
            return 0;
        }
    }
}
