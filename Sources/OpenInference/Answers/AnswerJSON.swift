// The answers without tensors as JSON (OIP 1.1, 4.2, 4.3, 9), and the accounts, which OIP has no words for. On the walk: the
// last step back, in the JSON door.

package import Contract
package import NIOCore

package enum AnswerJSON {
    /// Appends the answer's document; nothing for ``Answer/done``.
    ///
    /// - Parameter model: the model the path named, for answers that repeat it.
    /// - Throws: for inferences, as ``InferenceAnswer/encode(_:for:)`` does with every output in JSON.
    package static func write(
        _ answer: Answer, model: String = "", into buffer: inout ByteBuffer
    ) throws(CallFailure) {
        if case .inference(let reply) = answer {
            for piece in try InferenceAnswer.encode(reply, for: AnswerForm()).pieces {
                buffer.writeImmutableBuffer(piece)
            }
            return
        }
        var json = JSONWriter(buffer)
        buffer = ByteBuffer()
        switch answer {
        case .inference, .done: break
        case .modelMetadata(let metadata): write(metadata, &json)
        case .modelReady(let isReady):
            json.object { json in
                json.member("name", model)
                json.member("ready", isReady)
            }
        case .serverMetadata(let metadata):
            json.object { json in
                json.member("name", metadata.name)
                json.member("version", metadata.version)
                json.member("extensions", metadata.extensions)
            }
        case .serverReady(let isReady), .health(let isReady):
            // Who can answer is alive.
            json.object { json in
                json.member("live", true)
                json.member("ready", isReady)
            }
        case .index(let entries): write(entries, &json)
        case .statistics(let statistics):
            json.object { json in
                json.array("model_stats") { json in
                    for model in statistics { write(model, &json) }
                }
            }
        case .account(let fleet, let models): write(fleet, models, &json)
        case .alias(let change): write(change, &json)
        case .gateway(let report): write(report, &json)
        case .access(let report): write(report, &json)
        }
        buffer = json.buffer
    }

    private static func write(_ metadata: ModelMetadata, _ json: inout JSONWriter) {
        json.object { json in
            json.member("name", metadata.name)
            json.member("versions", metadata.versions)
            json.member("platform", metadata.platform)
            write("inputs", metadata.signature.inputs, &json)
            write("outputs", metadata.signature.outputs, &json)
            guard !metadata.aliases.isEmpty else { return }
            json.object("properties") { json in
                for (alias, version) in metadata.aliases.sorted(by: { $0.key < $1.key }) {
                    json.member(alias, version)
                }
            }
        }
    }

    private static func write(
        _ name: String, _ tensors: [TensorSpecification], _ json: inout JSONWriter
    ) {
        json.array(name) { json in
            for tensor in tensors {
                json.object { json in
                    json.member("name", tensor.name)
                    json.member("datatype", tensor.datatype.name)
                    json.array("shape") { json in
                        for dimension in tensor.shape.dimensions { json.element(dimension) }
                    }
                }
            }
        }
    }

    /// A model that sleeps is READY: the next call wakes it (OIP 9). Where it is stands in the reason.
    private static func write(_ entries: [IndexEntry], _ json: inout JSONWriter) {
        json.array { json in
            for entry in entries {
                json.object { json in
                    json.member("name", entry.name)
                    if !entry.version.isEmpty { json.member("version", entry.version) }
                    if !entry.state.isEmpty { json.member("state", entry.state) }
                    if !entry.reason.isEmpty { json.member("reason", entry.reason) }
                }
            }
        }
    }

    private static func write(_ statistics: ModelStatistics, _ json: inout JSONWriter) {
        json.object { json in
            json.member("name", statistics.name)
            json.member("version", statistics.version)
            json.member("last_inference", statistics.lastInference)
            json.member("inference_count", statistics.inferences)
            json.member("execution_count", statistics.executions)
            json.object("inference_stats") { json in
                write("success", statistics.success, &json)
                write("fail", statistics.failure, &json)
                write("queue", statistics.queue, &json)
                // Tensors are slices of the message: taking them in and out is part of the run.
                write("compute_input", CountedTime(count: statistics.run.count), &json)
                write("compute_infer", statistics.run, &json)
                write("compute_output", CountedTime(count: statistics.run.count), &json)
                // There is no cache of answers.
                write("cache_hit", CountedTime(), &json)
                write("cache_miss", CountedTime(), &json)
            }
            json.object("response_stats") { _ in }
            json.array("batch_stats") { _ in }
            json.array("memory_usage") { _ in }
        }
    }

    private static func write(_ name: String, _ time: CountedTime, _ json: inout JSONWriter) {
        json.object(name) { json in
            json.member("count", time.count)
            json.member("ns", time.nanoseconds)
        }
    }
}

// MARK: - Words of our own

extension AnswerJSON {
    private static func write(_ change: AliasChange, _ json: inout JSONWriter) {
        json.object { json in
            json.member("alias", change.alias)
            json.member("was", change.was)
            json.member("now", change.now)
            let proof =
                switch change.proof {
                case .none: "none"
                case .loaded: "loaded"
                case .golden: "golden"
                case .earlier: "earlier"
                }
            json.member("proof", proof)
            json.member("golden_cases", change.goldenCases)
        }
    }

    private static func write(_ report: GatewayReport, _ json: inout JSONWriter) {
        json.object { json in
            switch report {
            case .purged(let count): json.member("purged", count)
            case .reloaded(let changes):
                json.array("changes") { json in
                    for change in changes {
                        json.object { json in
                            json.member("key", change.key)
                            json.member("was", change.was)
                            json.member("now", change.now)
                        }
                    }
                }
            }
        }
    }

    private static func write(_ report: AccessReport, _ json: inout JSONWriter) {
        json.object { json in
            json.member("allowed", report.allowed)
            json.member("rule", report.rule)
            json.member("plan", report.plan)
            json.member("why", report.why)
            json.member("issuer", report.issuer)
            json.member("client", report.client)
            json.member("subject", report.subject)
            json.member("scopes", report.scopes)
        }
    }
}
