package interop;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;

import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Device;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/**
 * An unmodified Leshan client on CoAP over UDP or DTLS with objects 0, 1, 3 and 3303.
 *
 * <p>Options, each with its value as the next argument:
 * <ul>
 * <li>{@code --endpoint}: its endpoint name
 * <li>{@code --server} or {@code --bootstrap}: the {@code coap://} URI of its server, or of its bootstrap server;
 * {@code coaps://} with one of the next two
 * <li>{@code --psk}: {@code IDENTITY,KEY}, the key in hexadecimal
 * <li>{@code --certificate}, {@code --private-key}, {@code --server-certificate}: PEM files for X.509
 * <li>{@code --address}: the local address (127.0.0.1)
 * <li>{@code --lifetime}: seconds (300)
 * <li>{@code --queue-mode}: {@code true} registers with Q (false)
 * </ul>
 * When started, it prints one line of JSON: {@code {"endpoint"}}. It obeys lines on standard input: {@code set 21.5} gives
 * the sensor a value, {@code update} sends an Update, {@code send} sends the sensor's value, and prints the response's
 * code as a line of JSON. It ends, with a De-register, when standard input closes.
 */
public final class ClientMain {

    private static final int SHORT_SERVER_ID = 123;
    private static final long SEND_TIMEOUT_MS = 60_000;

    private ClientMain() {
    }

    /** Starts the client; see the class comment for the options. */
    public static void main(String[] args) throws IOException, InterruptedException, GeneralSecurityException {
        String endpoint = "leshan-client";
        String server = null;
        String bootstrap = null;
        String address = "127.0.0.1";
        long lifetime = 300;
        boolean queueMode = false;
        String[] psk = null;
        String certificate = null;
        String privateKey = null;
        String serverCertificate = null;
        for (int i = 0; i + 1 < args.length; i += 2) {
            String value = args[i + 1];
            switch (args[i]) {
            case "--endpoint" -> endpoint = value;
            case "--server" -> server = value;
            case "--bootstrap" -> bootstrap = value;
            case "--address" -> address = value;
            case "--lifetime" -> lifetime = Long.parseLong(value);
            case "--psk" -> psk = value.split(",");
            case "--certificate" -> certificate = value;
            case "--private-key" -> privateKey = value;
            case "--server-certificate" -> serverCertificate = value;
            case "--queue-mode" -> queueMode = Boolean.parseBoolean(value);
            default -> throw new IllegalArgumentException("unknown option " + args[i]);
            }
        }
        Temperature sensor = new Temperature();
        Security security;
        if (bootstrap != null) {
            security = Security.noSecBootstrap(bootstrap);
        } else if (psk != null) {
            byte[] identity = psk[0].getBytes(StandardCharsets.UTF_8);
            security = Security.psk(server, SHORT_SERVER_ID, identity, HexFormat.of().parseHex(psk[1]));
        } else if (certificate != null) {
            security = Security.x509(server, SHORT_SERVER_ID, Pem.certificates(certificate)[0].getEncoded(),
                    Pem.privateKey(privateKey).getEncoded(), Pem.certificates(serverCertificate)[0].getEncoded());
        } else {
            security = Security.noSec(server, SHORT_SERVER_ID);
        }
        LeshanClient client = build(endpoint, security, bootstrap != null, address, lifetime, queueMode, sensor);
        client.start();
        System.out.println(Json.object().put("endpoint", endpoint));
        System.out.flush();
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            obey(order, client, sensor);
        }
        client.destroy(true);
        System.exit(0);
    }

    private static LeshanClient build(String endpoint, Security security, boolean bootstraps, String address,
            long lifetime, boolean queueMode, Temperature sensor) throws IOException {
        List<ObjectModel> models = new java.util.ArrayList<>(ObjectLoader.loadAllDefault());
        models.add(Models.temperature("1.1"));
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(models));
        EnumSet<BindingMode> binding = EnumSet.of(BindingMode.U);
        objects.setInstancesForObject(LwM2mId.SECURITY, security);
        if (bootstraps) {
            objects.setClassForObject(LwM2mId.SERVER, Server.class);
        } else {
            objects.setInstancesForObject(LwM2mId.SERVER, new Server(SHORT_SERVER_ID, lifetime, binding, false, null));
        }
        objects.setInstancesForObject(LwM2mId.DEVICE, new Device("Eclipse Leshan", "client", "1", binding));
        objects.setInstancesForObject(Models.TEMPERATURE, sensor);

        CaliforniumClientEndpointsProvider.Builder endpoints = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider());
        endpoints.setClientAddress(InetAddress.getByName(address));

        LeshanClientBuilder builder = new LeshanClientBuilder(endpoint);
        builder.setObjects(objects.createAll());
        builder.setEndpointsProviders(endpoints.build());
        builder.setRegistrationEngineFactory(new DefaultRegistrationEngineFactory().setQueueMode(queueMode));
        return builder.build();
    }

    private static void obey(String order, LeshanClient client, Temperature sensor) throws InterruptedException {
        if (order.startsWith("set ")) {
            sensor.measure(Double.parseDouble(order.substring("set ".length())));
        } else if (order.equals("update")) {
            client.triggerRegistrationUpdate();
        } else if (order.equals("send")) {
            LwM2mServer server = client.getRegisteredServers().values().iterator().next();
            List<String> paths = List.of("/3303/0/5700");
            Object code = client.getSendService().sendData(server, ContentFormat.SENML_CBOR, paths, SEND_TIMEOUT_MS)
                    .getCode();
            System.out.println(Json.object().put("send", code.toString()));
            System.out.flush();
        }
    }
}
