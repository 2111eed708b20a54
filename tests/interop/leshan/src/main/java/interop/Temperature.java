package interop;

import java.util.List;

import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/** The temperature sensor of the client. Leshan makes further instances by its constructor. */
public final class Temperature extends BaseInstanceEnabler {

    private static final int MIN_MEASURED = 5601;
    private static final int MAX_MEASURED = 5602;
    private static final int RESET_MEASURED = 5605;
    private static final int VALUE = 5700;
    private static final int UNITS = 5701;
    private static final int APPLICATION_TYPE = 5750;

    private double value = 20.0;
    private double min = value;
    private double max = value;
    private String applicationType = "room";

    /** Makes a sensor that measures 20 degrees. */
    public Temperature() {
        // All values are set above.
    }

    /** Gives the sensor a value; observers are notified. */
    synchronized void measure(double measured) {
        value = measured;
        min = Math.min(min, measured);
        max = Math.max(max, measured);
        fireResourceChange(VALUE);
    }

    @Override
    public synchronized ReadResponse read(LwM2mServer server, int resource) {
        return switch (resource) {
        case MIN_MEASURED -> ReadResponse.success(resource, min);
        case MAX_MEASURED -> ReadResponse.success(resource, max);
        case VALUE -> ReadResponse.success(resource, value);
        case UNITS -> ReadResponse.success(resource, "Cel");
        case APPLICATION_TYPE -> ReadResponse.success(resource, applicationType);
        default -> super.read(server, resource);
        };
    }

    @Override
    public synchronized WriteResponse write(LwM2mServer server, boolean replace, int id, LwM2mResource resource) {
        if (id != APPLICATION_TYPE) {
            return super.write(server, replace, id, resource);
        }
        applicationType = (String) resource.getValue();
        fireResourceChange(id);
        return WriteResponse.success();
    }

    @Override
    public synchronized ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
        if (resource != RESET_MEASURED) {
            return super.execute(server, resource, arguments);
        }
        min = value;
        max = value;
        return ExecuteResponse.success();
    }

    @Override
    public List<Integer> getAvailableResourceIds(ObjectModel model) {
        return List.of(MIN_MEASURED, MAX_MEASURED, RESET_MEASURED, VALUE, UNITS, APPLICATION_TYPE);
    }
}
