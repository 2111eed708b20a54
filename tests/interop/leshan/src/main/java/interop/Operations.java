package interop;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

import org.eclipse.californium.core.coap.MessageObserverAdapter;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.coap.Response;
import org.eclipse.californium.core.coap.option.IntegerOption;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.CancelCompositeObservationRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveCompositeRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadCompositeRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteCompositeRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.request.exception.TimeoutException;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.ErrorCallback;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ReadCompositeResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.request.LowerLayerConfig;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * Operations on devices. Each is started at once and runs on its own; its result is kept under a number.
 *
 * <p>An order names {@code endpoint}, {@code operation} and {@code path}, and may name {@code timeout} (seconds),
 * {@code ttl} (seconds; goes out as the elective CoAP option {@value #TTL_OPTION}) and {@code format} (TEXT, TLV, JSON,
 * SENML_JSON, SENML_CBOR, CBOR, OPAQUE). Operations: {@code read}, {@code read-composite} and
 * {@code observe-composite} ({@code paths}, in SenML CBOR), {@code observe}, {@code discover}, {@code delete},
 * {@code execute} ({@code arguments}), {@code write} ({@code value}, or {@code values} by resource for an object
 * instance; {@code replace} true by default), {@code write-composite} ({@code values} by path of resource, in SenML
 * CBOR), {@code create} ({@code values}, {@code instance}), {@code write-attributes} ({@code attributes}, as in
 * "pmin=1&pmax=10"), {@code cancel-observe} (a GET with Observe 1; with {@code paths}, a FETCH) and
 * {@code forget-observe} (nothing is sent: the next notification is answered with a RST).
 *
 * <p>An operation is acknowledged when the ACK of its CON request has come, be it Empty or with the response.
 */
final class Operations {

    /** What the caller did wrong, in words. */
    static final class BadOrder extends RuntimeException {
        private static final long serialVersionUID = 1;

        BadOrder(String message) {
            super(message);
        }
    }

    /** Of the experimental range of RFC 7252 §12.2; even, so elective. */
    static final int TTL_OPTION = 65052;

    private static final IntegerOption.Definition TTL = new IntegerOption.Definition(TTL_OPTION, "TTL", true, 0, 4);

    private final LeshanServer server;
    private final EventLog events;
    private final long defaultTimeoutMillis;
    private final AtomicInteger lastNumber = new AtomicInteger();
    private final Map<Integer, CompletableFuture<ObjectNode>> results = new ConcurrentHashMap<>();
    private final Set<Integer> acknowledged = ConcurrentHashMap.newKeySet();

    Operations(LeshanServer server, EventLog events, long defaultTimeoutMillis) {
        this.server = server;
        this.events = events;
        this.defaultTimeoutMillis = defaultTimeoutMillis;
    }

    /** The result of a started operation, or null if there is no such number. */
    CompletableFuture<ObjectNode> result(int number) {
        return results.get(number);
    }

    /** Whether the ACK of this operation's request has come. */
    boolean acknowledged(int number) {
        return acknowledged.contains(number);
    }

    /** Starts an operation and returns its number. */
    int start(JsonNode order) {
        Registration registration = registration(order.path("endpoint").asText());
        LwM2mPath path = new LwM2mPath(order.path("path").asText());
        String operation = order.path("operation").asText();
        int number = lastNumber.incrementAndGet();
        CompletableFuture<ObjectNode> result = new CompletableFuture<>();
        if (operation.equals("forget-observe")) {
            int forgotten = server.getObservationService().cancelObservations(registration, path.toString());
            result.complete(Json.object().put("state", "response").put("forgotten", forgotten));
        } else {
            double millis = order.has("timeout") ? order.get("timeout").asDouble() * 1000 : defaultTimeoutMillis;
            send(registration, request(operation, path, order, registration), path, (long) millis, result, number,
                    lower(order, registration.getEndpoint(), number));
        }
        results.put(number, result);
        return number;
    }

    /** What an order wants of the CoAP request. */
    private LowerLayerConfig lower(JsonNode order, String endpoint, int number) {
        return lowerRequest -> {
            Request coap = (Request) lowerRequest;
            if (order.hasNonNull("ttl")) {
                coap.getOptions().addOtherOption(TTL.create(order.get("ttl").asLong()));
            }
            coap.addMessageObserver(new MessageObserverAdapter() {
                @Override
                public void onSent(boolean retransmission) {
                    if (!retransmission) {
                        events.add("request", endpoint, Json.object().put("operation", number));
                    }
                }

                @Override
                public void onAcknowledgement() {
                    acknowledged.add(number);
                }
            });
        };
    }

    private <T extends LwM2mResponse> void send(Registration registration, DownlinkDeviceManagementRequest<T> request,
            LwM2mPath path, long timeoutMillis, CompletableFuture<ObjectNode> result, int number,
            LowerLayerConfig lower) {
        long started = System.nanoTime();
        ErrorCallback failed = error -> finish(registration, error(error), started, result, number);
        try {
            server.send(registration, request, lower, timeoutMillis, response -> {
                ObjectNode json = response(path, response);
                if (response.isSuccess()) {
                    cancelled(request).ifPresent(server.getObservationService()::cancelObservation);
                }
                finish(registration, json, started, result, number);
            }, failed);
        } catch (RuntimeException e) { // a sleeping client is refused here, not in the callback
            failed.onError(e);
        }
    }

    private static Optional<Observation> cancelled(DownlinkDeviceManagementRequest<?> request) {
        if (request instanceof CancelObservationRequest cancel) {
            return Optional.of(cancel.getObservation());
        }
        return request instanceof CancelCompositeObservationRequest cancel ? Optional.of(cancel.getObservation())
                : Optional.empty();
    }

    private static ObjectNode error(Exception error) {
        ObjectNode json = Json.object();
        json.put("state", "error");
        json.put("error", error.getClass().getSimpleName());
        json.put("message", error.getMessage());
        if (error instanceof TimeoutException timeout) {
            json.put("timeout", timeout.getType().name());
        }
        return json;
    }

    private void finish(Registration registration, ObjectNode json, long started, CompletableFuture<ObjectNode> result,
            int number) {
        json.put("seconds", (System.nanoTime() - started) / 1e9);
        events.add("operation", registration.getEndpoint(), json.deepCopy().put("operation", number));
        result.complete(json);
    }

    static String code(ResponseCode code) {
        return String.format("%d.%02d", code.getCode() / 100, code.getCode() % 100);
    }

    private static ObjectNode response(LwM2mPath path, LwM2mResponse response) {
        ObjectNode json = Json.object();
        json.put("state", "response");
        json.put("code", code(response.getCode()));
        json.put("success", response.isSuccess());
        json.put("message", response.getErrorMessage());
        if (response.getCoapResponse() instanceof Response coap && coap.getOptions().hasContentFormat()) {
            json.put("content_format", coap.getOptions().getContentFormat());
        }
        if (response instanceof ReadResponse read && read.getContent() != null) {
            json.set("values", Json.values(path, read.getContent()));
        }
        if (response instanceof ReadCompositeResponse read && read.getContent() != null) {
            Json.collectAll(json.putObject("values"), read.getContent());
        }
        if (response instanceof DiscoverResponse discover && discover.getObjectLinks() != null) {
            json.set("links", Json.links(discover.getObjectLinks()));
        }
        if (response instanceof CreateResponse create) {
            json.put("location", create.getLocation());
        }
        return json;
    }

    private Registration registration(String endpoint) {
        Registration registration = server.getRegistrationService().getByEndpoint(endpoint);
        if (registration == null) {
            throw new BadOrder("no registration of endpoint " + endpoint);
        }
        return registration;
    }

    private DownlinkDeviceManagementRequest<? extends LwM2mResponse> request(String operation, LwM2mPath path,
            JsonNode order, Registration registration) {
        ContentFormat format = order.hasNonNull("format") ? format(order.get("format").asText()) : null;
        return switch (operation) {
        case "read" -> new ReadRequest(format, path.toString());
        case "read-composite" -> new ReadCompositeRequest(ContentFormat.SENML_CBOR, ContentFormat.SENML_CBOR,
                strings(order.path("paths")));
        case "observe" -> new ObserveRequest(format, path.toString());
        case "observe-composite" -> new ObserveCompositeRequest(ContentFormat.SENML_CBOR, ContentFormat.SENML_CBOR,
                strings(order.path("paths")).toArray(String[]::new));
        case "discover" -> new DiscoverRequest(path.toString());
        case "delete" -> new DeleteRequest(path.toString());
        case "execute" -> new ExecuteRequest(path.toString(), order.path("arguments").asText(""));
        case "write" -> new WriteRequest(
                order.path("replace").asBoolean(true) ? WriteRequest.Mode.REPLACE : WriteRequest.Mode.UPDATE, format,
                path.toString(), node(path, order, registration));
        case "write-composite" -> new WriteCompositeRequest(ContentFormat.SENML_CBOR, nodes(order, registration),
                null);
        case "create" -> create(path, order, registration, format);
        case "write-attributes" -> new WriteAttributesRequest(path.toString(), attributes(order));
        case "cancel-observe" -> order.has("paths")
                ? new CancelCompositeObservationRequest(composite(registration, strings(order.get("paths"))))
                : new CancelObservationRequest(observation(registration, path));
        default -> throw new BadOrder("unknown operation " + operation);
        };
    }

    private static List<String> strings(JsonNode array) {
        List<String> strings = new ArrayList<>();
        array.forEach(one -> strings.add(one.asText()));
        return strings;
    }

    private static ContentFormat format(String name) {
        ContentFormat format = ContentFormat.fromName(name);
        if (format == null) {
            throw new BadOrder("unknown content format " + name);
        }
        return format;
    }

    private static LwM2mAttributeSet attributes(JsonNode order) {
        try {
            return new LwM2mAttributeSet(
                    new DefaultLwM2mAttributeParser().parseUriQuery(order.path("attributes").asText()));
        } catch (Exception e) {
            throw new BadOrder("attributes: " + e.getMessage());
        }
    }

    private SingleObservation observation(Registration registration, LwM2mPath path) {
        Optional<SingleObservation> found = server.getObservationService().getObservations(registration).stream()
                .filter(SingleObservation.class::isInstance).map(SingleObservation.class::cast)
                .filter(observation -> observation.getPath().equals(path)).findFirst();
        return found.orElseThrow(() -> new BadOrder("no observation of " + path));
    }

    private CompositeObservation composite(Registration registration, List<String> paths) {
        List<LwM2mPath> wanted = paths.stream().map(LwM2mPath::new).toList();
        Optional<CompositeObservation> found = server.getObservationService().getObservations(registration).stream()
                .filter(CompositeObservation.class::isInstance).map(CompositeObservation.class::cast)
                .filter(observation -> observation.getPaths().equals(wanted)).findFirst();
        return found.orElseThrow(() -> new BadOrder("no observation of " + paths));
    }

    private Map<LwM2mPath, LwM2mNode> nodes(JsonNode order, Registration registration) {
        Map<LwM2mPath, LwM2mNode> nodes = new LinkedHashMap<>();
        order.path("values").fields().forEachRemaining(entry -> {
            LwM2mPath path = new LwM2mPath(entry.getKey());
            Type type = type(registration, path.getObjectId(), path.getResourceId());
            nodes.put(path, resource(path.getResourceId(), entry.getValue(), type));
        });
        return nodes;
    }

    private CreateRequest create(LwM2mPath path, JsonNode order, Registration registration, ContentFormat format) {
        List<LwM2mResource> resources = resources(path.getObjectId(), order, registration);
        if (order.hasNonNull("instance")) {
            return new CreateRequest(format, path.toString(),
                    new LwM2mObjectInstance(order.get("instance").asInt(), resources));
        }
        return new CreateRequest(format, path.toString(), resources);
    }

    private LwM2mNode node(LwM2mPath path, JsonNode order, Registration registration) {
        if (path.isObjectInstance()) {
            return new LwM2mObjectInstance(path.getObjectInstanceId(),
                    resources(path.getObjectId(), order, registration));
        }
        if (!path.isResource() && !path.isResourceInstance()) {
            throw new BadOrder("cannot write " + path);
        }
        if (!order.hasNonNull("value")) {
            throw new BadOrder("write of " + path + " without value");
        }
        Type type = type(registration, path.getObjectId(), path.getResourceId());
        if (path.isResourceInstance()) {
            return LwM2mResourceInstance.newInstance(path.getResourceInstanceId(), value(order.get("value"), type),
                    type);
        }
        return resource(path.getResourceId(), order.get("value"), type);
    }

    private List<LwM2mResource> resources(int objectId, JsonNode order, Registration registration) {
        List<LwM2mResource> resources = new ArrayList<>();
        order.path("values").fields().forEachRemaining(entry -> {
            int id = Integer.parseInt(entry.getKey());
            resources.add(resource(id, entry.getValue(), type(registration, objectId, id)));
        });
        return resources;
    }

    private static LwM2mResource resource(int id, JsonNode json, Type type) {
        if (json.isObject()) {
            Map<Integer, Object> instances = new LinkedHashMap<>();
            json.fields().forEachRemaining(
                    entry -> instances.put(Integer.parseInt(entry.getKey()), value(entry.getValue(), type)));
            return LwM2mMultipleResource.newResource(id, instances, type);
        }
        return LwM2mSingleResource.newResource(id, value(json, type), type);
    }

    private Type type(Registration registration, int objectId, int resourceId) {
        ResourceModel model = server.getModelProvider().getObjectModel(registration).getResourceModel(objectId,
                resourceId);
        return model != null ? model.type : Models.type(objectId, resourceId) // of an object that is not registered
                .orElseThrow(() -> new BadOrder("no model of /" + objectId + "/*/" + resourceId));
    }

    private static Object value(JsonNode json, Type type) {
        return switch (type) {
        case STRING -> json.asText();
        case INTEGER -> json.asLong();
        case FLOAT -> json.asDouble();
        case BOOLEAN -> json.asBoolean();
        case TIME -> new java.util.Date((long) (json.asDouble() * 1000));
        case OPAQUE -> HexFormat.of().parseHex(json.asText());
        case UNSIGNED_INTEGER -> ULong.valueOf(json.asLong());
        default -> throw new BadOrder("values of type " + type + " cannot be written here");
        };
    }
}
