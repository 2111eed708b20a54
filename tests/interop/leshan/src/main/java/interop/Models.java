package interop;

import java.util.ArrayList;
import java.util.List;

import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;

/** The object definitions that server and client know. */
final class Models {

    static final int TEMPERATURE = 3303;

    private Models() {
    }

    /** The core objects that ship with Leshan and the Temperature object that the tests' devices carry. */
    static List<ObjectModel> all() {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadAllDefault());
        for (String version : List.of("1.0", "1.1")) {
            models.add(temperature(version));
        }
        return models;
    }

    /** The Temperature object in one version. */
    static ObjectModel temperature(String version) {
        return new ObjectModel(TEMPERATURE, "Temperature", null, version, true, false, //
                resource(5601, "Min Measured Value", ResourceModel.Operations.R, Type.FLOAT), //
                resource(5602, "Max Measured Value", ResourceModel.Operations.R, Type.FLOAT), //
                resource(5603, "Min Range Value", ResourceModel.Operations.R, Type.FLOAT), //
                resource(5604, "Max Range Value", ResourceModel.Operations.R, Type.FLOAT), //
                resource(5605, "Reset Min and Max Measured Values", ResourceModel.Operations.E, Type.NONE), //
                resource(5700, "Sensor Value", ResourceModel.Operations.R, Type.FLOAT), //
                resource(5701, "Sensor Units", ResourceModel.Operations.R, Type.STRING), //
                resource(5750, "Application Type", ResourceModel.Operations.RW, Type.STRING));
    }

    private static ResourceModel resource(int id, String name, ResourceModel.Operations operations, Type type) {
        return new ResourceModel(id, name, operations, false, id == 5700, type, null, null, null);
    }
}
