import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A workty for Java 11 or newer: a state machine that reports and checkpoints as it goes. Put this file beside your own.
 *
 * <pre>{@code
 * public class Countdown extends Workty {
 *     public static void main(String[] arguments) {
 *         run(new Countdown());
 *     }
 *
 *     Countdown() {
 *         state("counting", this::count);
 *         state("celebrating", this::celebrate);
 *         transition("again", "counting", "counting");
 *     }
 *
 *     String count() {
 *         long from = whole(properties, "from", 3), left = whole(memory, "left", from);
 *         progress(1 - (double) left / from, left + " to go");
 *         waitSeconds(0.1);
 *         memory.put("left", left - 1);
 *         return left > 1 ? "again" : null;
 *     }
 *
 *     void celebrate() {
 *         log("Lift-off!");
 *         output.put("counted", whole(properties, "from", 3));
 *     }
 * }
 * }</pre>
 *
 * States follow each other as they are declared. A handler that returns null, or nothing, lets the next state follow,
 * or completes the step after the last one; for any other way it returns the name of a trigger. Entering a state makes
 * a checkpoint of it, with {@code memory} and {@code output} as they are then. If the step is interrupted, the next
 * attempt enters the state of the last checkpoint again. An exception that a handler does not catch fails the step, and
 * its stack is shown with it.
 *
 * <p>JSON is Map, List, String, Boolean, Double, Long (numbers without fraction and exponent) and null.
 */
public abstract class Workty {
    private static final int MAX_STATE_BYTES = 256 * 1024; // largest memory, and largest output
    private static final int MAX_LINE = 2000; // longest line of the log, characters
    private static final String OUTPUT = "_output"; // where a checkpoint keeps the output so far

    /** Values of the step's properties by name. */
    protected final Map<String, Object> properties = new LinkedHashMap<>();
    /** What to remember across interruptions: plain JSON of at most 256 KiB, together with the output. */
    protected final Map<String, Object> memory = new LinkedHashMap<>();
    /** What the step has to say when it is complete: plain JSON. */
    protected final Map<String, Object> output = new LinkedHashMap<>();

    private final Map<String, Handler> handlers = new LinkedHashMap<>();
    private final List<String[]> transitions = new ArrayList<>();
    private Channel channel;
    private String state = "";
    private String board = "";
    private int attempt = 1;

    /** What a state does; returns the name of a trigger, null for the next state. */
    public interface Handler {
        String enter() throws Exception;
    }

    /** What a state does that is always followed by the next one. */
    public interface Action {
        void enter() throws Exception;
    }

    /** A workty that cannot be run as it is written. */
    @SuppressWarnings("serial")
    public static final class BadWorkty extends RuntimeException {
        BadWorkty(String message) {
            super(message);
        }
    }

    /** Ends a workty at a checkpoint because a pause was asked. No Exception, so that workties do not catch it. */
    @SuppressWarnings("serial")
    private static final class Paused extends Error {
        Paused() {
            super("paused", null, false, false);
        }
    }

    // --- what a workty declares

    /** Declare the next state, and what it does. */
    protected final void state(String name, Handler handler) {
        if (handlers.put(name, handler) != null) {
            throw new BadWorkty("state '" + name + "' is there more than once");
        }
    }

    /** Declare the next state, and what it does. */
    protected final void state(String name, Action action) {
        state(name, (Handler) () -> {
            action.enter();
            return null;
        });
    }

    /** Declare a way from `source` ("*" for every state) to `dest` ("=" for the same state). */
    protected final void transition(String trigger, String source, String dest) {
        transitions.add(new String[] {trigger, source, dest});
    }

    /** Called before its state is entered again by an attempt that goes on from a checkpoint. */
    protected void onResume(String state) throws Exception {}

    // --- what handlers use

    /** The state it is in; empty before the first. */
    protected final String state() {
        return state;
    }

    /** Id of the board that it runs on; empty if it was started by hand. */
    protected final String board() {
        return board;
    }

    /** Which attempt of the step this is, from 1. */
    protected final int attempt() {
        return attempt;
    }

    /** Report how far the step is, from 0 to 1, with a few words (at most 200 characters) about it. */
    protected final void progress(double fraction, String message) {
        channel.send(line("progress", "progress", Math.min(Math.max(fraction, 0), 1), "message", message));
    }

    /** Add the lines of `text` to the step's log. */
    protected final void log(String text) {
        text.lines().forEach(found -> channel.send(line("log", "text", cut(found))));
    }

    /**
     * Let a next attempt go on from here: this state, with memory and output as they are now. Does not return if a pause
     * was asked.
     */
    protected final void checkpoint() {
        Map<String, Object> kept = new LinkedHashMap<>(memory);
        if (!output.isEmpty()) {
            kept.put(OUTPUT, output);
        }
        checkSize("memory", kept);
        channel.send(line("state", "state", state, "memory", kept));
        if (channel.isPauseAsked(0)) {
            throw new Paused();
        }
    }

    /** Wait. If a pause is asked meanwhile, make a checkpoint and do not return. Use this instead of a sleep. */
    protected final void waitSeconds(double seconds) {
        if (channel.isPauseAsked(seconds)) {
            checkpoint();
        }
    }

    /** The whole number at `name`, e.g. of memory or properties; `otherwise` if there is none. */
    protected static long whole(Map<String, Object> values, String name, long otherwise) {
        return values.get(name) instanceof Number ? ((Number) values.get(name)).longValue() : otherwise;
    }

    /** The number at `name`; `otherwise` if there is none. */
    protected static double number(Map<String, Object> values, String name, double otherwise) {
        return values.get(name) instanceof Number ? ((Number) values.get(name)).doubleValue() : otherwise;
    }

    /** The text at `name`; `otherwise` if there is none. */
    protected static String text(Map<String, Object> values, String name, String otherwise) {
        return values.get(name) instanceof String ? (String) values.get(name) : otherwise;
    }

    // --- how it runs

    /** Run a workty to its end, which is also that of the program: exit code 0 if it completed or paused, else 1. */
    public static void run(Workty workty) {
        int code = 0;
        try {
            workty.channel = new Channel(System.getenv());
            workty.read(System.getenv("WORKTY_INPUT"));
            workty.go();
        } catch (BadWorkty error) {
            System.err.println(workty.getClass().getSimpleName() + ": " + error.getMessage());
            code = 1;
        } catch (Throwable error) {
            error.printStackTrace();
            code = 1;
        }
        System.exit(code);
    }

    private void go() throws Exception {
        List<String> names = new ArrayList<>(handlers.keySet());
        refuseMistakes(names);
        boolean resumes = !state.isEmpty();
        String next = resumes ? state : names.get(0);
        if (!names.contains(next)) {
            throw new BadWorkty("no state '" + next + "' to go on from; its states are " + String.join(", ", names));
        }
        try {
            if (resumes) {
                onResume(next);
            }
            while (next != null) {
                state = next;
                checkpoint();
                next = follow(names, handlers.get(state).enter());
            }
        } catch (Paused paused) {
            channel.send(line("paused"));
            return;
        }
        if (!output.isEmpty()) {
            checkSize("output", output);
            channel.send(line("output", "output", output));
        }
    }

    /** The state to which `trigger` leads, or the next one without a trigger; null after the last. */
    private String follow(List<String> names, String trigger) {
        int after = names.indexOf(state) + 1;
        String next = after < names.size() ? names.get(after) : null;
        List<String> possible = new ArrayList<>();
        for (String[] way : transitions) {
            if (way[1].equals("*") || way[1].equals(state)) {
                if (way[0].equals(trigger)) {
                    return way[2].equals("=") ? state : way[2];
                }
                possible.add(way[0]);
            }
        }
        if (trigger == null || (trigger.equals("next") && next != null)) {
            return next;
        }
        if (next != null) {
            possible.add("next");
        }
        String known = possible.isEmpty() ? "none" : String.join(", ", possible);
        throw new BadWorkty("state '" + state + "' has no trigger '" + trigger + "'; it has " + known);
    }

    /** Find what would otherwise show late: no states, transitions of states that do not exist. */
    private void refuseMistakes(List<String> names) {
        if (names.isEmpty()) {
            throw new BadWorkty("declare its states, e.g. state(\"preparing\", this::prepare)");
        }
        for (String[] way : transitions) {
            if (!(way[1].equals("*") || names.contains(way[1])) || !(way[2].equals("=") || names.contains(way[2]))) {
                String ways = way[1] + " -> " + way[2];
                throw new BadWorkty("transition " + ways + ": its states are " + String.join(", ", names));
            }
        }
    }

    /** Take what the step gets from its input file; nothing if started by hand. */
    private void read(String path) throws IOException {
        Map<String, Object> given = path == null ? Map.of() : object(Json.parse(Files.readString(Path.of(path))));
        Map<String, Object> checkpoint = object(given.get("checkpoint"));
        properties.putAll(object(given.get("properties")));
        memory.putAll(object(checkpoint.get("memory")));
        output.putAll(object(memory.remove(OUTPUT)));
        state = text(checkpoint, "state", "");
        board = text(given, "board", "");
        attempt = (int) whole(given, "attempt", 1);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object found) {
        return found instanceof Map ? (Map<String, Object>) found : Map.of();
    }

    private static Map<String, Object> line(String type, Object... fields) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("type", type);
        for (int at = 0; at < fields.length; at += 2) {
            found.put((String) fields[at], fields[at + 1]);
        }
        return found;
    }

    private static String cut(String text) {
        return text.substring(0, Math.min(text.length(), MAX_LINE));
    }

    private static void checkSize(String field, Object value) {
        int size = Json.write(value).getBytes(StandardCharsets.UTF_8).length;
        if (size > MAX_STATE_BYTES) {
            String expected = field + ": expected at most " + MAX_STATE_BYTES + " bytes of JSON";
            throw new IllegalArgumentException(expected + ", got " + size);
        }
    }

    /** The two descriptors of the step protocol. Started by hand, lines go to stderr and no pause comes. */
    private static final class Channel {
        private final OutputStream events;
        private boolean pauseAsked;

        Channel(Map<String, String> environ) throws IOException {
            String up = environ.get("WORKTY_EVENTS_FD"), control = environ.get("WORKTY_CONTROL_FD");
            events = up == null ? System.err : new FileOutputStream("/dev/fd/" + up);
            if (control != null) {
                InputStream lines = new FileInputStream("/dev/fd/" + control);
                Thread listener = new Thread(() -> listen(lines), "workty-control");
                listener.setDaemon(true);
                listener.start();
            }
        }

        synchronized void send(Map<String, Object> line) {
            try {
                events.write((Json.write(line) + "\n").getBytes(StandardCharsets.UTF_8));
                events.flush();
            } catch (IOException error) {
                throw new IllegalStateException("the board's agent has gone: " + error.getMessage(), error);
            }
        }

        /** Whether a pause has been asked, waiting up to `seconds` for it to be. */
        synchronized boolean isPauseAsked(double seconds) {
            long until = System.nanoTime() + (long) (seconds * 1e9), left;
            try {
                while (!pauseAsked && (left = until - System.nanoTime()) > 0) {
                    wait(left / 1_000_000, (int) (left % 1_000_000));
                }
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("a wait was interrupted", error);
            }
            return pauseAsked;
        }

        private void listen(InputStream lines) {
            StringBuilder heard = new StringBuilder();
            try {
                for (int found; (found = lines.read()) >= 0; ) {
                    if (found != '\n') {
                        heard.append((char) found);
                    } else if (asksPause(heard.toString())) {
                        break;
                    } else {
                        heard.setLength(0);
                    }
                }
            } catch (IOException error) {
                // As its end, which also counts as asking: nobody would record what the program goes on to do.
            }
            ask();
        }

        private synchronized void ask() {
            pauseAsked = true;
            notifyAll();
        }

        /** Whether a control line asks to pause. Lines of a kind that this code does not know are no reason to fail. */
        private static boolean asksPause(String line) {
            try {
                return "pause".equals(object(Json.parse(line)).get("type"));
            } catch (RuntimeException error) {
                return false;
            }
        }
    }

    /** Writes JSON, and reads what the agent writes. */
    private static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        /** The value in `text`. Throws IllegalArgumentException if it ends too early, or is no JSON at all. */
        static Object parse(String text) {
            return new Json(text).value();
        }

        /** `value` as JSON. Throws IllegalArgumentException if that is not possible. */
        static String write(Object value) {
            StringBuilder to = new StringBuilder();
            write(value, to);
            return to.toString();
        }

        private Object value() {
            if (take('{')) {
                Map<String, Object> found = new LinkedHashMap<>();
                for (; !take('}'); take(',')) {
                    String name = (String) value();
                    take(':');
                    found.put(name, value());
                }
                return found;
            }
            if (take('[')) {
                List<Object> found = new ArrayList<>();
                for (; !take(']'); take(',')) {
                    found.add(value());
                }
                return found;
            }
            return take('"') ? string() : word();
        }

        private String string() {
            StringBuilder found = new StringBuilder();
            for (char next = next(); next != '"'; next = next()) {
                found.append(next == '\\' ? escaped(next()) : next);
            }
            return found.toString();
        }

        private char escaped(char code) {
            if (code == 'u') {
                return (char) Integer.parseInt("" + next() + next() + next() + next(), 16);
            }
            int known = "bfnrt".indexOf(code);
            return known < 0 ? code : "\b\f\n\r\t".charAt(known);
        }

        private Object word() {
            int begin = at;
            while (at < text.length() && ",:]} \t\r\n".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            String found = text.substring(begin, at);
            if (found.equals("null")) {
                return null;
            }
            if (found.equals("true") || found.equals("false")) {
                return found.equals("true");
            }
            try {
                return Long.valueOf(found);
            } catch (NumberFormatException error) {
                return Double.valueOf(found); // what it throws is an IllegalArgumentException
            }
        }

        private char next() {
            if (at >= text.length()) {
                throw new IllegalArgumentException("JSON: expected more after " + at + " characters");
            }
            return text.charAt(at++);
        }

        /** Whether `wanted` comes next, after spaces; then it is taken. */
        private boolean take(char wanted) {
            while (at < text.length() && text.charAt(at) <= ' ') {
                at++;
            }
            boolean found = at < text.length() && text.charAt(at) == wanted;
            at += found ? 1 : 0;
            return found;
        }

        private static void write(Object value, StringBuilder to) {
            if (value instanceof Map) {
                String before = "{";
                for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                    quote(String.valueOf(entry.getKey()), to.append(before));
                    write(entry.getValue(), to.append(':'));
                    before = ",";
                }
                to.append(before.equals("{") ? "{}" : "}");
            } else if (value instanceof Collection) {
                String before = "[";
                for (Object entry : (Collection<?>) value) {
                    write(entry, to.append(before));
                    before = ",";
                }
                to.append(before.equals("[") ? "[]" : "]");
            } else if (value instanceof CharSequence) {
                quote(value.toString(), to);
            } else if (isPlain(value)) {
                to.append(value);
            } else {
                throw new IllegalArgumentException("expected plain JSON, got " + value);
            }
        }

        private static boolean isPlain(Object value) {
            boolean fraction = value instanceof Double || value instanceof Float;
            return value == null
                    || value instanceof Boolean
                    || value instanceof Number && (!fraction || Double.isFinite(((Number) value).doubleValue()));
        }

        private static void quote(String text, StringBuilder to) {
            to.append('"');
            for (char found : text.toCharArray()) {
                if (found == '"' || found == '\\') {
                    to.append('\\').append(found);
                } else if (found < ' ') {
                    to.append(String.format("\\u%04x", (int) found));
                } else {
                    to.append(found);
                }
            }
            to.append('"');
        }
    }
}
