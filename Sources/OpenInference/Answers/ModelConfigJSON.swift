// A model's configuration as Triton's clients read it (OIP 4.4). Only what is true here: no field says what nobody does.

package import Contract
package import NIOCore

/// What a model's configuration is made of.
package struct ModelConfig: Sendable, Equatable {
    package var metadata: ModelMetadata
    /// Rows one call may bring (its manifest, `limits.batch`); nil: no limit but the message's size.
    package var batchMax: Int?
    /// Runs of the model at one time.
    package var instances: Int

    package init(_ metadata: ModelMetadata, batchMax: Int? = nil, instances: Int = 1) {
        self.metadata = metadata
        self.batchMax = batchMax
        self.instances = instances
    }

    /// What `max_batch_size` says where the manifest sets no limit: clients want a number, and none that overflows
    /// their own arithmetic.
    package static let batchAnyhow = 65_536

    /// Triton's word for a free first dimension everywhere; 0 when there is none.
    package var maxBatchSize: Int {
        let tensors = metadata.signature.inputs + metadata.signature.outputs
        let isBatched = tensors.allSatisfy { $0.shape.rank > 0 && $0.shape[0] < 0 }
        guard isBatched, !metadata.signature.inputs.isEmpty else { return 0 }
        return batchMax ?? ModelConfig.batchAnyhow
    }
}

package enum ModelConfigJSON {
    /// Appends the configuration's document.
    package static func write(_ config: ModelConfig, into buffer: inout ByteBuffer) {
        var json = JSONWriter(buffer)
        buffer = ByteBuffer()
        let metadata = config.metadata
        let batch = config.maxBatchSize
        json.object { json in
            json.member("name", metadata.name)
            json.member("platform", metadata.platform)
            json.member("backend", "onnxruntime")
            json.object("version_policy") { json in
                json.object("specific") { json in
                    json.array("versions") { json in
                        for version in metadata.versions.compactMap(Int64.init) {
                            json.element(version)
                        }
                    }
                }
            }
            json.member("max_batch_size", batch)
            write("input", metadata.signature.inputs, skipsFirst: batch > 0, &json)
            write("output", metadata.signature.outputs, skipsFirst: batch > 0, &json)
            json.array("instance_group") { json in
                json.object { json in
                    json.member("name", metadata.name)
                    json.member("kind", "KIND_CPU")
                    json.member("count", config.instances)
                }
            }
            json.object("model_transaction_policy") { $0.member("decoupled", false) }
        }
        buffer = json.buffer
    }

    private static func write(
        _ name: String, _ tensors: [TensorSpecification], skipsFirst: Bool,
        _ json: inout JSONWriter
    ) {
        json.array(name) { json in
            for tensor in tensors {
                json.object { json in
                    json.member("name", tensor.name)
                    json.member("data_type", word(tensor.datatype))
                    json.array("dims") { json in
                        for dimension in tensor.shape.dimensions.dropFirst(skipsFirst ? 1 : 0) {
                            json.element(dimension)
                        }
                    }
                }
            }
        }
    }

    /// `TYPE_FP32` and so on; BYTES are `TYPE_STRING`.
    private static func word(_ datatype: ElementType) -> String {
        datatype == .bytes ? "TYPE_STRING" : "TYPE_" + datatype.name
    }
}
