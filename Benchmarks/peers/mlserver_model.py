"""A peer: MLServer with ONNX Runtime, for it has no runtime for ONNX of its own. TLS by nginx before it."""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class OnnxModel(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        inputs = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        outputs = self.session.run(None, inputs)
        return InferenceResponse(
            model_name=self.name, model_version=self.version,
            outputs=[
                NumpyCodec.encode_output(output.name, np.asarray(array))
                for output, array in zip(self.session.get_outputs(), outputs)
            ])
