package interop;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** All that happened, in order, numbered from 1: a reader asks for what follows the last number it has seen. */
final class EventLog {

    private final List<ObjectNode> events = new ArrayList<>();

    synchronized void add(String kind, String endpoint, ObjectNode details) {
        ObjectNode event = Json.object();
        event.put("number", events.size() + 1);
        event.put("time", Json.seconds(Instant.now()));
        event.put("kind", kind);
        event.put("endpoint", endpoint);
        event.setAll(details);
        events.add(event);
        notifyAll();
    }

    /** Events numbered above `after`; waits up to `millis` for the first one. */
    synchronized ArrayNode after(int after, long millis) throws InterruptedException {
        long end = System.nanoTime() + millis * 1_000_000;
        while (events.size() <= after) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                break;
            }
            wait(left);
        }
        ArrayNode json = Json.MAPPER.createArrayNode();
        for (int i = Math.max(after, 0); i < events.size(); i++) {
            json.add(events.get(i));
        }
        return json;
    }
}
