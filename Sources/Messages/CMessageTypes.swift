// The generated C types that are read and written here, and how each is initialised.

import CMessages
import CProtobufC

extension Sluice__V1__ClientHello: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__client_hello__init(message)
    }
}

extension Sluice__V1__RequestedSettings: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__requested_settings__init(message)
    }
}

extension Sluice__V1__ServerHello: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__server_hello__init(message)
    }
}

extension Sluice__V1__AuthResult: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__auth_result__init(message)
    }
}

extension Sluice__V1__AuthUpdate: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__auth_update__init(message)
    }
}

extension Sluice__V1__Metadata: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__metadata__init(message)
    }
}

extension Sluice__V1__CallHeader: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__call_header__init(message)
    }
}

extension Sluice__V1__ReplyHeader: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__reply_header__init(message)
    }
}

extension Sluice__V1__Timing: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__timing__init(message)
    }
}

extension Sluice__V1__Status: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__status__init(message)
    }
}

extension Sluice__V1__Cancel: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__cancel__init(message)
    }
}

extension Sluice__V1__GoAway: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__go_away__init(message)
    }
}

extension Sluice__V1__Progress: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__progress__init(message)
    }
}

extension Sluice__V1__HealthStatus: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__health_status__init(message)
    }
}

extension Sluice__V1__ModelControlRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_control_request__init(message)
    }
}

extension Sluice__V1__ModelControlResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_control_response__init(message)
    }
}

extension Sluice__V1__ModelAccountRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_account_request__init(message)
    }
}

extension Sluice__V1__ModelAccountResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_account_response__init(message)
    }
}

extension Sluice__V1__ModelAccount: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_account__init(message)
    }
}

extension Sluice__V1__FleetAccount: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__fleet_account__init(message)
    }
}

extension Sluice__V1__MissPoint: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__miss_point__init(message)
    }
}

extension Sluice__V1__ModelAliasRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_alias_request__init(message)
    }
}

extension Sluice__V1__ModelAliasResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__model_alias_response__init(message)
    }
}

extension Inference__ServerReadyRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__server_ready_request__init(message)
    }
}

extension Inference__ServerReadyResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__server_ready_response__init(message)
    }
}

extension Inference__ModelReadyRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_ready_request__init(message)
    }
}

extension Inference__ModelReadyResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_ready_response__init(message)
    }
}

extension Inference__ServerMetadataRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__server_metadata_request__init(message)
    }
}

extension Inference__ServerMetadataResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__server_metadata_response__init(message)
    }
}

extension Inference__ModelMetadataRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_metadata_request__init(message)
    }
}

extension Inference__ModelMetadataResponse__TensorMetadata: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_metadata_response__tensor_metadata__init(message)
    }
}

extension Inference__ModelMetadataResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_metadata_response__init(message)
    }
}

extension Inference__ModelMetadataResponse__PropertiesEntry: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_metadata_response__properties_entry__init(message)
    }
}

extension Inference__InferParameter: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__infer_parameter__init(message)
    }
}

extension Inference__InferTensorContents: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__infer_tensor_contents__init(message)
    }
}

extension Inference__ModelInferRequest__InferInputTensor: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_infer_request__infer_input_tensor__init(message)
    }
}

extension Inference__ModelInferRequest__InferRequestedOutputTensor: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_infer_request__infer_requested_output_tensor__init(message)
    }
}

extension Inference__ModelInferRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_infer_request__init(message)
    }
}

extension Inference__ModelInferResponse__InferOutputTensor: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_infer_response__infer_output_tensor__init(message)
    }
}

extension Inference__ModelInferResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_infer_response__init(message)
    }
}

extension Inference__RepositoryIndexRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_index_request__init(message)
    }
}

extension Sluice__V1__GatewayControlRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__gateway_control_request__init(message)
    }
}

extension Sluice__V1__GatewayControlResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__gateway_control_response__init(message)
    }
}

extension Sluice__V1__SettingChange: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__setting_change__init(message)
    }
}

extension Sluice__V1__AccessCheckRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__access_check_request__init(message)
    }
}

extension Sluice__V1__AccessCheckResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe sluice__v1__access_check_response__init(message)
    }
}

extension Inference__RepositoryIndexResponse__ModelIndex: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_index_response__model_index__init(message)
    }
}

extension Inference__RepositoryIndexResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_index_response__init(message)
    }
}

extension Inference__RepositoryModelLoadRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_model_load_request__init(message)
    }
}

extension Inference__RepositoryModelLoadResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_model_load_response__init(message)
    }
}

extension Inference__RepositoryModelUnloadRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_model_unload_request__init(message)
    }
}

extension Inference__RepositoryModelUnloadResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__repository_model_unload_response__init(message)
    }
}

extension Inference__StatisticDuration: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__statistic_duration__init(message)
    }
}

extension Inference__InferStatistics: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__infer_statistics__init(message)
    }
}

extension Inference__ModelStatistics: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_statistics__init(message)
    }
}

extension Inference__ModelStatisticsRequest: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_statistics_request__init(message)
    }
}

extension Inference__ModelStatisticsResponse: CMessage {
    static func initialise(_ message: UnsafeMutablePointer<Self>) {
        unsafe inference__model_statistics_response__init(message)
    }
}
