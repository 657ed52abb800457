// swift-tools-version: 6.2
// The house: one target a room, arrows from house to room to kit to C. See docs/decisions/0001.

import PackageDescription

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

// The gateway carries the Swift runtime with it: it runs where no toolchain is installed, and 9 MiB less of it stay resident
// (packed relocations, no table of exported names). See docs/decisions/0005.
let selfContained: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-static-stdlib", "-use-ld=lld", "-lCoreFoundation", "-lFoundationInternationalization",
            "-l_FoundationCShims", "-l_FoundationCollections", "-l_FoundationICU",
        ]
            + ["-z", "pack-relative-relocs", "--no-export-dynamic"].flatMap { ["-Xlinker", $0] },
        .when(platforms: [.linux]))
]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let posix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let embedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let http: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(
    name: "UnixSignals", package: "swift-service-lifecycle")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let configuration: Target.Dependency = .product(
    name: "Configuration", package: "swift-configuration")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
/// Signed tokens and keys of other issuers; `--disable-default-traits` builds without (docs/decisions/0013).
let jwt: Target.Dependency = .product(
    name: "JWTKit", package: "jwt-kit", condition: .when(traits: ["JWT"]))
let metrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")

func room(_ name: String, path: String? = nil, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

let package = Package(
    name: "sluice",
    platforms: [.macOS(.v15), .iOS(.v18)],
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .library(name: "SluiceClient", targets: ["SluiceClient"]),
    ],
    traits: [
        .trait(
            name: "JWT",
            description: "Issuers without introspection (JWKS), signed answers, private_key_jwt."),
        .default(enabledTraits: ["JWT"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        // Brought by swift-configuration's YAML trait; named because the settings compose lists of maps with it.
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // Words
        room("Contract", [nio]),

        // C libraries, one module each
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]
        ),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "COnnxRuntime"),
        .systemLibrary(name: "CFiles"),
        .target(name: "CMessages", dependencies: ["CProtobufC"]),
        .target(name: "CConfinement"),
        .target(name: "CTerminal"),

        // Kits
        room("TLS", ["COpenSSL", nio, logging]),
        room("SluiceWire", path: "Sources/Wire", [nio]),
        room("Messages", ["Contract", "CMessages", "CProtobufC", nio]),
        room("OpenInference", ["Contract", nio]),
        room("Compression", ["CZlib", nio]),
        room("Traces", ["Contract"]),
        room("OnnxRuntime", ["Contract", "COnnxRuntime", nio]),
        room("Files", ["CFiles"]),
        room("Confinement", ["CConfinement"]),
        room("Terminal", ["CTerminal"]),
        room("Telemetry", [metrics]),

        // Rooms
        room("Admission", ["Contract", "TLS", nio]),
        room("Catalogue", ["Contract", nio]),
        room("Shards", ["Contract", "Catalogue", "OnnxRuntime", nio, logging]),
        room("BinaryDoor", ["Contract", "Messages", "SluiceWire", nio, logging]),
        // What browsers load are readable files, carried in the binary.
        .target(
            name: "JSONDoor",
            dependencies: ["Contract", "OpenInference", "Compression", nio, posix, http, logging],
            resources: [.embedInCode("Browser/sluice.js")]
                + [
                    "index.html", "console.css", "icon.svg", "theme.js", "app.js", "gateway.js",
                    "dom.js", "words.js", "models.js", "try.js", "tensors.js", "snippets.js",
                    "charts.js", "clients.js",
                ].map { .embedInCode("Console/Page/\($0)") },
            swiftSettings: strict),
        room("Issuer", ["Contract", "TLS", grdb]),
        room("Usage", ["Contract", grdb]),
        // What a fleet costs here and elsewhere: values and formulas; its price table is a readable file in the binary.
        .target(
            name: "Costs", dependencies: ["Contract", yaml],
            resources: [.embedInCode("Resources/prices.yaml")], swiftSettings: strict),
        room(
            "Outside",
            [
                "Contract", "TLS", "Catalogue", "Files", "Traces", httpClient, nio, posix, nioSSL,
                http, logging, jwt,
            ]),

        // Import: the converter's own files are readable ones, carried in the binary.
        .target(
            name: "Workshop",
            dependencies: [
                "Contract", "TLS", "Catalogue", "Files", "Confinement", "OnnxRuntime", "Outside",
                nio,
            ],
            resources: [
                .embedInCode("Resources/convert.py"), .embedInCode("Resources/requirements.txt"),
            ],
            swiftSettings: strict),

        // House
        room(
            "Gateway",
            [
                "Contract", "TLS", "Messages", "OnnxRuntime", "Admission", "Catalogue", "Shards",
                "BinaryDoor", "JSONDoor", "OpenInference", "Issuer", "Usage", "Outside", "Workshop",
                "Checkup", "Compression", "Traces",
                nio,
                posix, http,
                logging, lifecycle,
                unixSignals,
                "Files", "Telemetry", configuration, yaml,
            ]),
        // Generated code: one expression of each file is not marked `unsafe` as the strict settings ask.
        .target(
            name: "SluiceMessages", dependencies: [protobuf],
            swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")]),
        room(
            "SluiceClient",
            [
                "SluiceMessages", "SluiceWire", nio, nioTLS, posix, nioSSL, protobuf, logging,
                lifecycle,
            ]),
        // What `sluice doctor` finds: facts in, verdicts out.
        room("Checkup", []),
        // What `sluice top` shows: values and lines.
        room("FleetView", ["SluiceClient"]),
        .executableTarget(
            name: "sluice",
            dependencies: [
                "Gateway", "Workshop", "Checkup", "Contract", "Costs", "FleetView", "Issuer", "TLS",
                "Terminal", "Usage",
                "SluiceClient",
                "SluiceMessages",
                "SluiceWire", arguments, histogram, nio, posix, nioSSL, protobuf, logging,
            ],
            swiftSettings: strict,
            linkerSettings: selfContained),

        // Tests
        tests("ContractTests", ["Contract", nio]),
        tests("TLSTests", ["TLS", "COpenSSL", nio, posix, embedded]),
        tests("WireTests", ["SluiceWire", nio]),
        tests(
            "MessagesTests",
            ["Messages", "SluiceMessages", "Contract", "CMessages", "CProtobufC", nio, protobuf]),
        tests("CompressionTests", ["Compression", nio]),
        tests("TracesTests", ["Traces", "Contract", nio]),
        tests("OpenInferenceTests", ["OpenInference", "Contract", nio]),
        tests("OnnxRuntimeTests", ["OnnxRuntime", "Contract", nio]),
        tests("AdmissionTests", ["Admission", "Contract", "TLS", nio, embedded]),
        tests("CatalogueTests", ["Catalogue", "Contract", nio]),
        tests(
            "ShardsTests",
            ["Shards", "Catalogue", "OnnxRuntime", "Outside", "Contract", nio, posix, embedded]),
        tests(
            "BinaryDoorTests", ["BinaryDoor", "Messages", "SluiceWire", "Contract", nio, embedded]),
        tests(
            "JSONDoorTests",
            [
                "JSONDoor", "Compression", "OpenInference", "Contract", nio, http, embedded,
                logging,
            ]),
        tests("IssuerTests", ["Issuer", "Contract", "TLS", grdb]),
        tests("UsageTests", ["Usage", "Contract", grdb]),
        tests("CostsTests", ["Costs", "Contract"]),
        tests("CheckupTests", ["Checkup"]),
        tests("FleetViewTests", ["FleetView", "SluiceClient"]),
        tests("FilesTests", ["Files"]),
        tests("ConfinementTests", ["Confinement"]),
        tests("TelemetryTests", ["Telemetry", metrics]),
        tests(
            "WorkshopTests",
            ["Workshop", "Catalogue", "Files", "Outside", "OnnxRuntime", "Contract", "TLS", nio]),
        tests(
            "OutsideTests",
            [
                "Outside", "TLS", "Catalogue", "Files", "Traces", "Contract", nio, posix, http,
                logging,
            ]),
        tests(
            "GatewayTests",
            [
                "Gateway", "Admission", "Contract", "Catalogue", "JSONDoor", "Outside", "Shards",
                "Files", "TLS", "Telemetry", "Usage", "Traces", grdb, nio, posix, embedded, logging,
            ]),
        tests(
            "SluiceClientTests",
            [
                "SluiceClient", "SluiceMessages", "SluiceWire", nio, posix, nioSSL, protobuf,
                logging, lifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        tests("TidyTests", []),
        tests(
            "EndToEndTests",
            [
                "SluiceClient", "SluiceMessages", "SluiceWire", nio, nioTLS, posix, nioSSL,
                protobuf,
            ]),
    ]
)
