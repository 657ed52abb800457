// `cors`: whose web pages may read what the callers' port answers.

import Contract
import JSONDoor

extension Settings {
    static let browserRules: [SettingRule<Settings>] = [
        .list(
            "cors.origins",
            "origins as browsers write them, like https://app.example or http://localhost:5173: "
                + "lower case, without a path or a default port; * is none",
            \.origins.origins, CrossOrigin.isOrigin),
        .time("cors.max_age", .seconds(1)...(.seconds(86_400)), \.origins.ageMax, orZero: true),
    ]
}
