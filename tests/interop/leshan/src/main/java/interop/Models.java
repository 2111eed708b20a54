package interop;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;

/** The object definitions that server and client know. */
final class Models {

    static final int TEMPERATURE = 3303;
    static final int TEST_OBJECT = 3442;

    private Models() {
    }

    /** The core objects that ship with Leshan, and those that the tests' devices carry besides. */
    static List<ObjectModel> all() {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadAllDefault());
        for (String version : List.of("1.0", "1.1")) {
            models.add(temperature(version));
        }
        models.add(testObject());
        return models;
    }

    /** The type of a resource, in whatever version of its object. */
    static Optional<Type> type(int objectId, int resourceId) {
        return all().stream().filter(model -> model.id == objectId && model.resources.containsKey(resourceId))
                .map(model -> model.resources.get(resourceId).type).findFirst();
    }

    /** Single and multiple values of the LwM2M v1.1 Test Object; its executable resources are left out. */
    private static ObjectModel testObject() {
        Map<Integer, Type> types = Map.of(110, Type.STRING, 120, Type.INTEGER, 125, Type.UNSIGNED_INTEGER, 130,
                Type.FLOAT, 140, Type.BOOLEAN, 150, Type.OPAQUE, 160, Type.TIME, 170, Type.OBJLNK, 180, Type.CORELINK);
        List<ResourceModel> resources = new ArrayList<>();
        types.forEach((id, type) -> {
            resources.add(new ResourceModel(id, type.name(), ResourceModel.Operations.RW, false, false, type, null,
                    null, null));
            resources.add(new ResourceModel(id + 1000, "Multiple " + type.name(), ResourceModel.Operations.RW, true,
                    false, type, null, null, null));
        });
        for (int id : List.of(4, 6)) {
            resources.add(new ResourceModel(id, "Strings", ResourceModel.Operations.RW, true, false, Type.STRING, null,
                    null, null));
        }
        return new ObjectModel(TEST_OBJECT, "LwM2M v1.1 Test Object", null, "1.0", true, false, resources);
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
