/**
 * The shapes that travel through the page. Only types: nothing here runs.
 *
 * @typedef {"queued" | "running" | "completed" | "failed" | "cancelled"} Status
 *
 * @typedef {object} Task
 * @property {string} task_id
 * @property {number | null} number null: reported by an orchestrator under an id of its own
 * @property {string} description
 * @property {string} command
 * @property {boolean} command_cut whether `command` is only its beginning
 * @property {string} runner
 * @property {Status} status
 * @property {number} priority within the queue of the session, the highest first
 * @property {string | null} start_after ISO 8601
 * @property {number} attempt which time it runs, from 1
 * @property {string[]} depends_on ids of tasks
 * @property {string | null} worker the name of the worker that has claimed it
 * @property {string} tag
 * @property {string} source_type
 * @property {number | null} queue_position 1 is next
 * @property {string} created_at ISO 8601
 * @property {string | null} started_at
 * @property {string | null} ended_at
 * @property {number | null} exit_code
 * @property {string | null} reason
 * @property {string} detail
 * @property {boolean} child_out_of_memory
 * @property {string | null} isolation
 * @property {string} network
 * @property {{memory_mb: number, time_s: number, cores: number | null, pids: number | null, open_files: number | null,
 *   log_mb: number | null, disk_mb: number | null, files: number | null}} limits null: none of its own
 * @property {{cpu_s: number, memory_peak_mb: number, memory_mb?: number | null, cores?: number} | null} usage
 * @property {{path: string, size: number}[]} outputs
 * @property {number} outputs_total
 * @property {boolean} stopping whether it has been asked to stop and has not ended yet
 * @property {"slot" | "own_limit" | "memory" | "dependency" | "start_after" | "worker" | "alone" | "paused" |
 *   null} waits_for
 * @property {{running?: number, may_run?: number, memory_mb?: number, ahead?: number, tasks?: string[], until?: string,
 *   estimate_s?: number | null} | null} wait what explains it
 *
 * @typedef {object} Device
 * @property {string} id
 * @property {string} name as its owner wrote it
 * @property {"browser" | "program"} kind
 * @property {boolean} is_this
 * @property {boolean} is_guest whether it opens another session than its own
 * @property {string} address where it was last seen
 * @property {string} created_at ISO 8601
 * @property {string} last_seen ISO 8601
 *
 * @typedef {object} Facts what the server knows of this device
 * @property {Device | null} device null: none has proven itself
 * @property {Device[]} devices of the session, this one too
 * @property {{session_id: string, ip: string} | null} session null: none yet, or nobody can say
 * @property {boolean} is_shared whether the address names nobody
 * @property {"address" | "device"} identity by what the server knows who asks
 * @property {boolean} can_tell whether it sees a MAC address
 *
 * @typedef {object} Connection
 * @property {"connecting" | "live" | "reconnecting" | "polling"} state
 * @property {boolean} lost whether the server could not be reached at all: what is shown is old
 * @property {number} attempt how many attempts have failed since the connection was lost
 * @property {number} retryAt when the next attempt starts, in ms of this device's clock; 0 while one is under way
 * @property {number} waitMs how long that wait is in all
 *
 * @typedef {object} Entry
 * @property {string} name
 * @property {"file" | "directory" | "other"} type
 * @property {number | null} size bytes
 * @property {string} modified
 *
 * @typedef {object} Upload
 * @property {number} id
 * @property {string} name
 * @property {string} path where it goes in the workspace
 * @property {number} size
 * @property {number} loaded
 * @property {"waiting" | "sending" | "lost" | "paused" | "exists" | "interrupted" | "failed" | "done"} state
 * @property {string} error
 * @property {number} startedAt ms
 * @property {number} startedWith bytes that were there then
 * @property {boolean} attached whether it was attached to the task being written
 * @property {object} [cut] what is known of one that was cut when the page was left: see resumes.js
 */

export {};
