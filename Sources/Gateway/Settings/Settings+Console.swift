// `http.console`: the page at `/` of the callers' port.

extension Settings {
    static let consoleRules: [SettingRule<Settings>] = [
        .flag("http.console", \.showsConsole)
    ]
}
