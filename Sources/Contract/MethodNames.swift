// What the methods are called where operators read of them: the audit log, traces, metrics, the access log.

extension Method {
    /// For example `infer` or `models.load`.
    package var name: String {
        switch self {
        case .infer: "infer"
        case .inferStream: "infer.stream"
        case .modelMetadata: "models.metadata"
        case .modelReady: "models.ready"
        case .serverMetadata: "server.metadata"
        case .serverReady: "server.ready"
        case .repositoryIndex: "models.index"
        case .repositoryLoad: "models.load"
        case .repositoryUnload: "models.unload"
        case .modelStatistics: "models.statistics"
        case .healthWatch: "server.health"
        case .modelControl: "models.control"
        case .modelAccount: "models.account"
        case .modelAlias: "models.alias"
        case .gatewayControl: "gateway.control"
        case .accessCheck: "access.check"
        }
    }
}
