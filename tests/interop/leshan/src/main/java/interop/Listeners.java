package interop;

import java.time.Instant;
import java.util.Collection;

import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.queue.PresenceListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.send.SendListener;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Writes every event of the server's services to the log. */
final class Listeners {

    private Listeners() {
    }

    static void attach(LeshanServer server, EventLog log) {
        server.getRegistrationService().addListener(new Registrations(log));
        server.getObservationService().addListener(new Observations(log));
        server.getSendService().addListener(new Sends(log));
        server.getPresenceService().addListener(new Presence(log));
    }

    private static ObjectNode registration(Registration registration) {
        return Json.object().set("registration", Json.registration(registration));
    }

    private static ObjectNode error(String message, Exception cause) {
        return Json.object().put("message", message).put("error", cause == null ? null : cause.toString());
    }

    private record Registrations(EventLog log) implements RegistrationListener {

        @Override
        public void registered(Registration registration, Registration previous, Collection<Observation> dropped) {
            log.add("registered", registration.getEndpoint(), registration(registration));
        }

        @Override
        public void updated(RegistrationUpdate update, Registration updated, Registration previous) {
            log.add("updated", updated.getEndpoint(), registration(updated));
        }

        @Override
        public void unregistered(Registration registration, Collection<Observation> dropped, boolean expired,
                Registration successor) {
            ObjectNode details = registration(registration);
            details.put("replaced", successor != null);
            ArrayNode observations = details.putArray("observations");
            dropped.forEach(observation -> observations.add(Json.observation(observation)));
            log.add(expired ? "expired" : "unregistered", registration.getEndpoint(), details);
        }
    }

    private record Observations(EventLog log) implements ObservationListener {

        @Override
        public void newObservation(Observation observation, Registration registration) {
            log.add("observing", registration.getEndpoint(), Json.observation(observation));
        }

        @Override
        public void cancelled(Observation observation) {
            log.add("observation-cancelled", null, Json.observation(observation));
        }

        @Override
        public void onResponse(SingleObservation observation, Registration registration, ObserveResponse response) {
            ObjectNode details = Json.observation(observation);
            details.put("code", Operations.code(response.getCode()));
            if (response.getContent() != null) {
                details.set("values", Json.values(observation.getPath(), response.getContent()));
            }
            log.add("notification", registration.getEndpoint(), details);
        }

        @Override
        public void onResponse(CompositeObservation observation, Registration registration,
                ObserveCompositeResponse response) {
            ObjectNode details = Json.observation(observation);
            details.put("code", Operations.code(response.getCode()));
            ObjectNode values = details.putObject("values");
            if (response.getContent() != null) {
                Json.collectAll(values, response.getContent());
            }
            log.add("notification", registration.getEndpoint(), details);
        }

        @Override
        public void onError(Observation observation, Registration registration, Exception cause) {
            ObjectNode details = error("notification", cause);
            details.setAll(Json.observation(observation));
            log.add("notification-error", registration == null ? null : registration.getEndpoint(), details);
        }
    }

    private record Sends(EventLog log) implements SendListener {

        @Override
        public void dataReceived(Registration registration, TimestampedLwM2mNodes data, SendRequest request) {
            ObjectNode details = registration(registration);
            Json.collectAll(details.putObject("values"), data.getMostRecentNodes());
            ArrayNode records = details.putArray("records");
            for (Instant time : data.getTimestamps()) {
                for (var entry : data.getNodesAt(time).entrySet()) {
                    LwM2mPath path = entry.getKey();
                    LwM2mNode node = entry.getValue();
                    ObjectNode one = records.addObject();
                    one.put("time", time == null ? null : Json.seconds(time));
                    one.set("values", Json.values(path, node));
                }
            }
            log.add("send", registration.getEndpoint(), details);
        }

        @Override
        public void onError(Registration registration, String message, Exception cause) {
            log.add("send-error", registration == null ? null : registration.getEndpoint(), error(message, cause));
        }
    }

    private record Presence(EventLog log) implements PresenceListener {

        @Override
        public void onAwake(Registration registration) {
            log.add("awake", registration.getEndpoint(), Json.object());
        }

        @Override
        public void onSleeping(Registration registration) {
            log.add("sleeping", registration.getEndpoint(), Json.object());
        }
    }
}
