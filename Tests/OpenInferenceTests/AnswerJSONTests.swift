// The documents without tensors, letter by letter: clients read them by these names.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct AnswerJSONTests {
    private func text(_ answer: Answer, model: String = "") throws -> String {
        var buffer = ByteBuffer(string: "> ")
        try AnswerJSON.write(answer, model: model, into: &buffer)
        return String(buffer: buffer)
    }

    private let metadata = ModelMetadata(
        name: "iris", versions: ["1", "2"], platform: "onnxruntime_onnx",
        signature: Signature(
            inputs: [TensorSpecification(name: "x", datatype: .fp32, shape: [-1, 4])],
            outputs: [TensorSpecification(name: "label", datatype: .bytes, shape: [-1])]))

    @Test func healthAndMetadata() throws {
        #expect(try text(.serverReady(true)) == #"> {"live":true,"ready":true}"#)
        #expect(try text(.health(false)) == #"> {"live":true,"ready":false}"#)
        #expect(try text(.modelReady(true), model: "a\"b") == #"> {"name":"a\"b","ready":true}"#)
        #expect(try text(.done) == "> ")
        let server = ServerMetadata(
            name: "sluice", version: "0.5", extensions: ["statistics", "x"])
        #expect(
            try text(.serverMetadata(server))
                == #"> {"name":"sluice","version":"0.5","extensions":["statistics","x"]}"#)
        #expect(
            try text(.modelMetadata(metadata))
                == #"> {"name":"iris","versions":["1","2"],"platform":"onnxruntime_onnx","#
                + #""inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"#
                + #""outputs":[{"name":"label","datatype":"BYTES","shape":[-1]}]}"#)
        var named = metadata
        named.aliases = ["prod": "1", "latest": "2"]
        #expect(
            try text(.modelMetadata(named)).hasSuffix(#","properties":{"latest":"2","prod":"1"}}"#))
    }

    @Test func theIndex() throws {
        let entries = [
            IndexEntry(name: "a", version: "1", state: "READY", reason: "asleep"),
            IndexEntry(name: "b", version: "", state: "", reason: ""),
        ]
        #expect(
            try text(.index(entries))
                == #"> [{"name":"a","version":"1","state":"READY","reason":"asleep"},{"name":"b"}]"#
        )
        #expect(try text(.index([])) == "> []")
    }

    @Test func statistics() throws {
        var model = ModelStatistics(name: "a", version: "1")
        model.lastInference = 1_700_000_000_000
        model.inferences = 3
        model.executions = 2
        model.success = CountedTime(count: 3, nanoseconds: 300)
        model.run = CountedTime(count: 2, nanoseconds: 200)
        let none = #"{"count":0,"ns":0}"#
        #expect(
            try text(.statistics([model]))
                == #"> {"model_stats":[{"name":"a","version":"1","last_inference":1700000000000,"#
                + #""inference_count":3,"execution_count":2,"inference_stats":{"#
                + #""success":{"count":3,"ns":300},"fail":\#(none),"queue":\#(none),"#
                + #""compute_input":{"count":2,"ns":0},"compute_infer":{"count":2,"ns":200},"#
                + #""compute_output":{"count":2,"ns":0},"cache_hit":\#(none),"cache_miss":\#(none)},"#
                + #""response_stats":{},"batch_stats":[],"memory_usage":[]}]}"#)
    }

    @Test func accountsAreWholeAndReadable() throws {
        var fleet = FleetAccount()
        fleet.anonymousBudget = .max
        fleet.missCurve = [MissPoint(extraBytes: 7, coldShare: 0.25)]
        var model = ModelAccount(name: "a", version: "1", state: .awake)
        model.aliases = ["latest"]
        model.loadTime = .microseconds(1_500)
        model.awakeFor = .seconds(2)
        model.failure = "no \"room\""
        let json = try text(.account(fleet, [model]))
        var scanner = try JSONScanner(ByteBuffer(string: String(json.dropFirst(2))))
        try scanner.skip()
        try scanner.finish()
        for part in [
            #""anonymous_budget":18446744073709551615"#,
            #""miss_curve":[{"extra_bytes":7,"cold_share":0.25}]"#, #""state":"awake""#,
            #""load_ms":1.5"#, #""awake_ms":2000.0"#, #""failure":"no \"room\"""#,
            #""aliases":["latest"]"#,
        ] {
            #expect(json.contains(part), "\(part) in \(json)")
        }
        #expect(!json.contains("evicted_for") && !json.contains("last_call_ms_ago"))
    }

    @Test func wordsOfOurOwn() throws {
        let change = AliasChange(alias: "prod", was: "1", now: "2", proof: .golden, goldenCases: 3)
        #expect(
            try text(.alias(change))
                == #"> {"alias":"prod","was":"1","now":"2","proof":"golden","golden_cases":3}"#)
        #expect(try text(.gateway(.purged(4))) == #"> {"purged":4}"#)
        #expect(
            try text(.gateway(.reloaded([SettingChange(key: "k", was: "a", now: "b")])))
                == #"> {"changes":[{"key":"k","was":"a","now":"b"}]}"#)
        let access = AccessReport(
            allowed: true, rule: "r", plan: "p", why: "w", issuer: "i", client: "c", subject: "s",
            scopes: ["admin"])
        #expect(
            try text(.access(access))
                == #"> {"allowed":true,"rule":"r","plan":"p","why":"w","issuer":"i","client":"c","subject":"s","scopes":["admin"]}"#
        )
        let reply = InferenceReply(
            model: "m", version: "", id: "", outputs: [tensor(.int8, [1], [5])])
        #expect(
            try text(.inference(reply))
                == #"> {"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[5]}]}"#
        )
    }

    // MARK: - Configuration

    private func config(_ config: ModelConfig) -> String {
        var buffer = ByteBuffer()
        ModelConfigJSON.write(config, into: &buffer)
        return String(buffer: buffer)
    }

    @Test func aFreeFirstDimensionIsTheBatch() {
        #expect(
            config(ModelConfig(metadata, batchMax: 32, instances: 2))
                == #"{"name":"iris","platform":"onnxruntime_onnx","backend":"onnxruntime","#
                + #""version_policy":{"specific":{"versions":[1,2]}},"max_batch_size":32,"#
                + #""input":[{"name":"x","data_type":"TYPE_FP32","dims":[4]}],"#
                + #""output":[{"name":"label","data_type":"TYPE_STRING","dims":[]}],"#
                + #""instance_group":[{"name":"iris","kind":"KIND_CPU","count":2}],"#
                + #""model_transaction_policy":{"decoupled":false}}"#)
        #expect(ModelConfig(metadata).maxBatchSize == ModelConfig.batchAnyhow)
    }

    @Test func withoutOneDimsAreWhole() {
        var fixed = metadata
        fixed.signature.outputs.append(
            TensorSpecification(name: "all", datatype: .int64, shape: [3]))
        let text = config(ModelConfig(fixed, batchMax: 32))
        #expect(text.contains(#""max_batch_size":0"#))
        #expect(
            text.contains(#""dims":[-1,4]"#)
                && text.contains(#""data_type":"TYPE_INT64","dims":[3]"#))
    }
}
