/** Does some parts, one after the other, and remembers which are done. Workty.java says what else a step can do. */
public class Main extends Workty {
    public static void main(String[] arguments) {
        run(new Main());
    }

    Main() {
        state("preparing", this::prepare);
        state("working", this::work);
        state("finishing", this::finish);
    }

    void prepare() {
        log(properties.get("parts") + " parts to do");
    }

    void work() {
        long parts = whole(properties, "parts", 3);
        for (long done = whole(memory, "done", 0); done < parts; done++) {
            progress((double) done / parts, "part " + (done + 1) + " of " + parts);
            waitSeconds(0.5); // instead: the work on one part
            memory.put("done", done + 1);
            checkpoint();
        }
    }

    void finish() {
        output.put("done", whole(memory, "done", 0));
    }
}
