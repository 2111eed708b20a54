package interop;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationStore;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;

/**
 * The control interface, JSON over HTTP.
 *
 * <ul>
 * <li>{@code GET /registrations}: all registrations
 * <li>{@code GET /observations?endpoint=E}: what the server observes there
 * <li>{@code POST /forget?endpoint=E}: the server forgets a registration, as one does that lost its memory
 * <li>{@code POST /operations?wait=S}: starts an operation (see {@link Operations}), waits up to S seconds for its
 * result
 * <li>{@code GET /operations/N?wait=S}: the result of operation N, or {@code "state": "pending"}; in both,
 * {@code acknowledged} tells whether its request was ACKed
 * <li>{@code GET /events?after=N&wait=S}: what happened after event N
 * <li>{@code POST /stop}: ends the program
 * </ul>
 * A bad order is answered 400, an unknown path 404, both with {@code {"error": ...}}.
 */
final class ControlPort {

    private record Answer(int status, JsonNode body) {
    }

    private final HttpServer http;
    private final LeshanServer server;
    private final RegistrationStore registrations;
    private final Operations operations;
    private final EventLog events;

    ControlPort(InetSocketAddress address, LeshanServer server, RegistrationStore registrations, Operations operations,
            EventLog events) throws IOException {
        this.server = server;
        this.registrations = registrations;
        this.operations = operations;
        this.events = events;
        http = HttpServer.create(address, 0);
        http.setExecutor(Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task, "control");
            thread.setDaemon(true);
            return thread;
        }));
        http.createContext("/", this::handle);
    }

    void start() {
        http.start();
    }

    int port() {
        return http.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        boolean stop = false;
        Answer answer;
        try {
            String path = exchange.getRequestURI().getPath();
            stop = exchange.getRequestMethod().equals("POST") && path.equals("/stop");
            answer = stop ? new Answer(200, Json.object()) : route(exchange, path, query(exchange));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            answer = error(503, "stopping");
        } catch (RuntimeException | IOException | ExecutionException e) {
            answer = error(400, e instanceof Operations.BadOrder ? e.getMessage() : e.toString());
        }
        byte[] body = Json.MAPPER.writeValueAsBytes(answer.body());
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(answer.status(), body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
        if (stop) {
            System.exit(0);
        }
    }

    private Answer route(HttpExchange exchange, String path, Map<String, String> query)
            throws IOException, InterruptedException, ExecutionException {
        long wait = (long) (Double.parseDouble(query.getOrDefault("wait", "0")) * 1000);
        String route = exchange.getRequestMethod() + " " + path;
        if (route.equals("GET /registrations")) {
            return new Answer(200, registrations());
        }
        if (route.equals("GET /observations")) {
            return observations(query.getOrDefault("endpoint", ""));
        }
        if (route.equals("POST /forget")) {
            return forget(query.getOrDefault("endpoint", ""));
        }
        if (route.equals("GET /events")) {
            return new Answer(200, events.after(Integer.parseInt(query.getOrDefault("after", "0")), wait));
        }
        if (route.equals("POST /operations")) {
            int number = operations.start(Json.MAPPER.readTree(exchange.getRequestBody()));
            return new Answer(200, result(number, wait));
        }
        if (route.startsWith("GET /operations/")) {
            int number = Integer.parseInt(path.substring("/operations/".length()));
            return operations.result(number) == null ? error(404, "no such operation")
                    : new Answer(200, result(number, wait));
        }
        return error(404, "no such path");
    }

    private ArrayNode registrations() {
        ArrayNode json = Json.MAPPER.createArrayNode();
        Iterator<Registration> all = server.getRegistrationService().getAllRegistrations();
        all.forEachRemaining(registration -> json.add(Json.registration(registration)));
        return json;
    }

    private Answer observations(String endpoint) {
        Registration registration = server.getRegistrationService().getByEndpoint(endpoint);
        if (registration == null) {
            return error(404, "no registration of endpoint " + endpoint);
        }
        ArrayNode json = Json.MAPPER.createArrayNode();
        server.getObservationService().getObservations(registration)
                .forEach(observation -> json.add(Json.observation(observation)));
        return new Answer(200, json);
    }

    private Answer forget(String endpoint) {
        Registration registration = registrations.getRegistrationByEndpoint(endpoint);
        if (registration == null) {
            return error(404, "no registration of endpoint " + endpoint);
        }
        registrations.removeRegistration(registration.getId());
        return new Answer(200, Json.object());
    }

    private ObjectNode result(int number, long waitMillis) throws InterruptedException, ExecutionException {
        CompletableFuture<ObjectNode> result = operations.result(number);
        ObjectNode json;
        try {
            json = result.get(waitMillis, TimeUnit.MILLISECONDS).deepCopy();
        } catch (TimeoutException e) {
            json = Json.object().put("state", "pending");
        }
        return json.put("operation", number).put("acknowledged", operations.acknowledged(number));
    }

    private static Answer error(int status, String message) {
        return new Answer(status, Json.object().put("error", message));
    }

    private static Map<String, String> query(HttpExchange exchange) {
        Map<String, String> query = new HashMap<>();
        String raw = exchange.getRequestURI().getRawQuery();
        if (raw != null) {
            for (String part : raw.split("&")) {
                int equals = part.indexOf('=');
                if (equals > 0) {
                    query.put(part.substring(0, equals),
                            URLDecoder.decode(part.substring(equals + 1), StandardCharsets.UTF_8));
                }
            }
        }
        return query;
    }
}
