// Does some parts, one after the other, and remembers which are done. It speaks the step protocol: what it gets is in
// the file WORKTY_INPUT, what it has to say are lines of JSON to the descriptor WORKTY_EVENTS_FD, and a pause is asked
// on the descriptor WORKTY_CONTROL_FD.

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Main {
    private static OutputStream events;
    private static volatile boolean pauseAsked;
    private static int done;

    public static void main(String[] arguments) throws Exception {
        String input = Files.readString(Path.of(System.getenv("WORKTY_INPUT")));
        events = new FileOutputStream("/dev/fd/" + System.getenv("WORKTY_EVENTS_FD"));
        listen();
        int parts = Integer.parseInt(find("\"parts\":\\s*(\\d+)", input, "3"));
        String begun = find("\"state\":\\s*\"(\\w+)\"", input, "preparing");
        done = Integer.parseInt(find("\"done\":\\s*(\\d+)", input, "0"));

        if (begun.equals("preparing")) {
            enter("preparing");
            send("{\"type\":\"log\",\"text\":\"" + parts + " parts to do\"}");
        }
        if (!begun.equals("finishing")) {
            work(parts);
        }
        enter("finishing");
        send("{\"type\":\"output\",\"output\":{\"done\":" + done + "}}");
        System.exit(0);
    }

    private static void work(int parts) throws Exception {
        enter("working");
        while (done < parts) {
            String message = "part " + (done + 1) + " of " + parts;
            send("{\"type\":\"progress\",\"progress\":" + (double) done / parts + ",\"message\":\"" + message + "\"}");
            Thread.sleep(500); // instead: the work on one part
            done++;
            enter("working");
        }
    }

    /** Enter a state, or make a checkpoint of it. Ends the program if a pause is asked. */
    private static void enter(String state) throws IOException {
        send("{\"type\":\"state\",\"state\":\"" + state + "\",\"memory\":{\"done\":" + done + "}}");
        if (pauseAsked) {
            send("{\"type\":\"paused\"}");
            System.exit(0);
        }
    }

    private static void send(String line) throws IOException {
        events.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    }

    /** Only a pause comes from the agent, or the end of it. */
    private static void listen() {
        Thread listener = new Thread(() -> {
            try (InputStream control = new FileInputStream("/dev/fd/" + System.getenv("WORKTY_CONTROL_FD"))) {
                control.read();
            } catch (IOException error) {
                System.err.println(error);
            }
            pauseAsked = true;
        });
        listener.setDaemon(true);
        listener.start();
    }

    private static String find(String pattern, String text, String otherwise) {
        Matcher found = Pattern.compile(pattern).matcher(text);
        return found.find() ? found.group(1) : otherwise;
    }
}
