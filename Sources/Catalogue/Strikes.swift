// Who was in native code when the process ended without saying goodbye, and who is kept away for it (docs/decisions/0011).
// A value; the time is given. Kept in STATE/fence.json.

import Contract

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// One content of one version of a model that was at work when the process ended.
package struct Suspect: Sendable, Hashable {
    package enum Activity: String, Sendable, Hashable, Codable { case load, run }

    package var model: String
    package var version: Int64
    /// ``ModelEntry/contentKey``.
    package var files: UInt64
    package var activity: Activity

    package init(model: String, version: Int64, files: UInt64, activity: Activity) {
        self.model = model
        self.version = version
        self.files = files
        self.activity = activity
    }
}

/// A version that is not served any more.
package struct Quarantine: Sendable, Equatable {
    package var model: String
    package var version: Int64
    package var files: UInt64
    package var strikes: Int
    package var activity: Suspect.Activity

    /// For the index and for people.
    func reason(of entry: ModelEntry) -> String {
        let work = activity == .load ? "was being loaded" : "ran"
        return "quarantined: the gateway ended \(strikes) times while version \(version) \(work); "
            + "`sluice models unquarantine \(model) --version \(version)` lets it serve again, and so "
            + "does a change of its files"
    }

    func failure(of entry: ModelEntry) -> CallFailure {
        CallFailure(
            .failedPrecondition, .modelQuarantined, "model '\(model)' is \(reason(of: entry))",
            notStarted: true)
    }
}

/// The strikes of every version. Bounded: the oldest are forgotten.
package struct Strikes: Sendable, Equatable {
    package static let fileName = "fence.json"
    package static let byteCountMax = 1 << 20
    /// So many strikes and a version is kept away.
    package static let most = 2
    /// A strike this old, in seconds, does not count any more, unless the version is kept away already.
    package static let windowSeconds: Int64 = 86_400
    /// The most versions that are remembered.
    package static let recordsMax = 1_024

    struct Record: Sendable, Equatable {
        var files: UInt64
        var activity: Suspect.Activity
        /// Seconds since 1970, rising.
        var times: [Int64]
        var isQuarantined: Bool
    }

    struct Place: Sendable, Hashable {
        var model: String
        var version: Int64
    }

    private(set) var records: [Place: Record] = [:]
    /// The journal that was judged last: none is judged twice.
    package private(set) var journal: UInt64 = 0

    package init() {}

    /// The process that wrote this journal ended while these were at work. Each gets one strike, however often it is
    /// named. False when this journal has been judged before.
    /// - Parameter now: seconds since 1970.
    package mutating func judge(_ suspects: [Suspect], journal: UInt64, now: Int64) -> Bool {
        guard journal != self.journal else { return false }
        self.journal = journal
        var struck: Set<Place> = []
        for suspect in suspects {
            let place = Place(model: suspect.model, version: suspect.version)
            guard struck.insert(place).inserted else { continue }
            var record = Record(
                files: suspect.files, activity: suspect.activity, times: [], isQuarantined: false)
            if let known = records[place], known.files == suspect.files { record = known }
            record.activity = suspect.activity
            // A clock that was set back makes no strike eternal.
            record.times = record.times.filter {
                $0 <= now && now - $0 < Strikes.windowSeconds || record.isQuarantined
            }
            record.times = record.times.suffix(Strikes.most * 4) + [now]
            if record.times.count >= Strikes.most { record.isQuarantined = true }
            records[place] = record
        }
        while records.count > Strikes.recordsMax,
            let oldest = records.min(by: { Strikes.age($0.value) < Strikes.age($1.value) })
        {
            records[oldest.key] = nil
        }
        return true
    }

    private static func age(_ record: Record) -> Int64 { record.times.last ?? 0 }

    /// An operator trusts the model again; nil for every version. False when nothing was held against it.
    package mutating func forgive(_ model: String, version: Int64?) -> Bool {
        let places = records.keys.filter {
            $0.model == model && (version == nil || $0.version == version)
        }
        for place in places { records[place] = nil }
        return !places.isEmpty
    }

    /// Versions whose files have changed begin anew. True when something was forgotten.
    package mutating func forget(changed entries: [ModelEntry]) -> Bool {
        guard !records.isEmpty else { return false }
        var hasForgotten = false
        for entry in entries {
            let place = Place(model: entry.name, version: entry.versionNumber)
            if let record = records[place], record.files != entry.contentKey {
                records[place] = nil
                hasForgotten = true
            }
        }
        return hasForgotten
    }

    /// Who is kept away.
    package var quarantined: [Quarantine] {
        records.filter(\.value.isQuarantined).map { place, record in
            Quarantine(
                model: place.model, version: place.version, files: record.files,
                strikes: record.times.count, activity: record.activity)
        }.sorted { ($0.model, $0.version) < ($1.model, $1.version) }
    }

    /// How many strikes are held against this content.
    package func count(against entry: ModelEntry) -> Int {
        guard let record = records[Place(model: entry.name, version: entry.versionNumber)],
            record.files == entry.contentKey
        else { return 0 }
        return record.times.count
    }
}

// MARK: - As they stand in the file

extension Strikes {
    private struct Written: Codable {
        struct Record: Codable {
            var model: String
            var version: Int64
            var files: String
            var activity: Suspect.Activity
            var strikes: [Int64]
            var quarantined: Bool
        }
        var format: Int
        var journal: String
        var records: [Record]
    }

    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let all = records.sorted {
            ($0.key.model, $0.key.version) < ($1.key.model, $1.key.version)
        }
        let written = Written(
            format: 1, journal: ContentKey.text(journal),
            records: all.map { place, record in
                Written.Record(
                    model: place.model, version: place.version,
                    files: ContentKey.text(record.files), activity: record.activity,
                    strikes: record.times, quarantined: record.isQuarantined)
            })
        return [UInt8](try encoder.encode(written))
    }

    /// Throws what is wrong with the file, as half a sentence.
    package init(json: [UInt8]) throws(ModelFault) {
        let written: Written
        do {
            written = try JSONDecoder().decode(Written.self, from: Data(json))
        } catch {
            throw ModelFault("it is not what this program writes")
        }
        guard written.format == 1, let journal = ContentKey.value(written.journal),
            written.records.count <= Strikes.recordsMax
        else { throw ModelFault("it is not what this program writes") }
        self.journal = journal
        for record in written.records {
            guard ModelName(record.model) != nil, let files = ContentKey.value(record.files),
                record.strikes.count <= Strikes.most * 4 + 1
            else { throw ModelFault("it is not what this program writes") }
            records[Place(model: record.model, version: record.version)] = Record(
                files: files, activity: record.activity, times: record.strikes,
                isQuarantined: record.quarantined)
        }
    }
}
