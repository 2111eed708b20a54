package interop;

import java.time.Instant;
import java.util.Date;
import java.util.HexFormat;
import java.util.Map;

import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mRoot;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.server.registration.Registration;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Leshan's objects as JSON. Times are seconds since 1970, opaque values are hexadecimal strings. */
final class Json {

    static final ObjectMapper MAPPER = new ObjectMapper();

    private Json() {
    }

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    static double seconds(Instant time) {
        return time.toEpochMilli() / 1000.0;
    }

    static ObjectNode registration(Registration registration) {
        ObjectNode json = object();
        json.put("endpoint", registration.getEndpoint());
        json.put("registration_id", registration.getId());
        json.put("address", registration.getAddress().getHostAddress());
        json.put("port", registration.getPort());
        json.put("lifetime", registration.getLifeTimeInSec());
        json.put("binding", BindingMode.toString(registration.getBindingMode()));
        json.put("lwm2m", registration.getLwM2mVersion().toString());
        json.put("queue_mode", registration.usesQueueMode());
        json.put("registered_at", seconds(registration.getRegistrationDate().toInstant()));
        json.put("last_update", seconds(registration.getLastUpdate().toInstant()));
        json.set("object_links", links(registration.getObjectLinks()));
        return json;
    }

    static ObjectNode observation(Observation observation) {
        ObjectNode json = object();
        json.put("token", HexFormat.of().formatHex(observation.getId().getBytes()));
        json.put("registration_id", observation.getRegistrationId());
        if (observation instanceof SingleObservation single) {
            json.put("path", single.getPath().toString());
        }
        if (observation instanceof CompositeObservation composite) {
            ArrayNode paths = json.putArray("paths");
            composite.getPaths().forEach(path -> paths.add(path.toString()));
        }
        return json;
    }

    static ArrayNode links(Link[] links) {
        ArrayNode json = MAPPER.createArrayNode();
        for (Link link : links) {
            json.add(link.toCoreLinkFormat());
        }
        return json;
    }

    /** Every value below `path`, each under its full path. */
    static ObjectNode values(LwM2mPath path, LwM2mNode node) {
        ObjectNode json = object();
        collect(json, path, node);
        return json;
    }

    private static void collect(ObjectNode json, LwM2mPath path, LwM2mNode node) {
        if (node instanceof LwM2mRoot root) {
            root.getObjects().forEach((id, child) -> collect(json, path.append(id), child));
        } else if (node instanceof LwM2mObject lwm2mObject) {
            lwm2mObject.getInstances().forEach((id, child) -> collect(json, path.append(id), child));
        } else if (node instanceof LwM2mObjectInstance instance) {
            instance.getResources().forEach((id, child) -> collect(json, path.append(id), child));
        } else if (node instanceof LwM2mResource resource) {
            if (resource.isMultiInstances()) {
                resource.getInstances().forEach((id, child) -> collect(json, path.append(id), child));
            } else {
                put(json, path, resource.getValue());
            }
        } else if (node instanceof LwM2mResourceInstance instance) {
            put(json, path, instance.getValue());
        }
    }

    static void collectAll(ObjectNode json, Map<LwM2mPath, LwM2mNode> nodes) {
        nodes.forEach((path, node) -> collect(json, path, node));
    }

    private static void put(ObjectNode json, LwM2mPath path, Object value) {
        String key = path.toString();
        if (value instanceof Long number) {
            json.put(key, number);
        } else if (value instanceof ULong number) {
            json.put(key, number.toString());
        } else if (value instanceof Double number) {
            json.put(key, number);
        } else if (value instanceof Boolean truth) {
            json.put(key, truth);
        } else if (value instanceof Date date) {
            json.put(key, seconds(date.toInstant()));
        } else if (value instanceof byte[] bytes) {
            json.put(key, HexFormat.of().formatHex(bytes));
        } else if (value instanceof ObjectLink link) {
            json.put(key, link.getObjectId() + ":" + link.getObjectInstanceId());
        } else if (value instanceof Link[] links) {
            json.set(key, links(links));
        } else {
            json.put(key, String.valueOf(value));
        }
    }
}
