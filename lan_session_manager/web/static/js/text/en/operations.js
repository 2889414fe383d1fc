/** The words of what the audit log has: what somebody did, in front of what it was done to. */

const OPERATIONS = {
  "POST /admin/login": "Log in on the admin page",
  "POST /admin/logout": "Log out of the admin page",
  "POST /api/session/{client_ip}/keep": "Keep the session",
  "POST /api/task/submit": "Submit a task",
  "POST /api/task/batch": "Submit a batch of tasks",
  "POST /api/tasks/bulk": "Change many tasks",
  "ws submit_task": "Submit a task",
  "PATCH /api/task/{task_id}": "Change the place in the queue of",
  "POST /api/task/{task_id}/cancel": "Cancel",
  "POST /api/task/{task_id}/rerun": "Run again",
  "POST /api/task/{task_id}/complete": "Complete",
  "DELETE /api/task/{task_id}": "Delete",
  "POST /api/worker/claim": "Claim tasks",
  "PUT /api/worker/task/{task_id}/files/{path}": "Write a file as the worker of",
  "POST /api/worker/task/{task_id}/complete": "Complete as its worker",
  "PUT /api/workspace/{client_ip}/files/{path}": "Upload a file to",
  "DELETE /api/workspace/{client_ip}/files/{path}": "Delete a file of",
  "POST /api/workspace/{client_ip}/files": "Upload files to",
  "POST /api/workspace/{client_ip}/uploads": "Begin an upload to",
  "PATCH /api/workspace/{client_ip}/uploads/{upload_id}": "Go on with an upload to",
  "DELETE /api/workspace/{client_ip}/uploads/{upload_id}": "Give up an upload to",
  "POST /api/workspace/{client_ip}/directory": "Make a folder in",
  "POST /api/workspace/{client_ip}/move": "Move or rename files of",
  "POST /api/workspace/{client_ip}/trash": "Put files in the trash of",
  "DELETE /api/workspace/{client_ip}/trash": "Empty the trash of",
  "DELETE /api/workspace/{client_ip}/trash/{trash_id}": "Remove for good from the trash of",
  "POST /api/workspace/{client_ip}/trash/{trash_id}/restore": "Restore from the trash of",
  "WS /ws/dashboard/{client_ip}": "Open the dashboard of",
  "POST /api/device": "Make a device known",
  "PATCH /api/device": "Name the device",
  "DELETE /api/device": "Forget the device",
  "DELETE /api/device/{device_id}": "Forget a device",
  "POST /api/device/carry": "Carry the session to another device",
  "POST /api/device/claim": "Claim a carried session",
  "POST /api/device/leave": "Go back to the own session",
  "GET /api/sessions/all": "Look at all sessions",
};

/** Served below two addresses: by token and by cookie. */
const OF_ADMIN = {
  "GET connections": "Look at all connections",
  "GET session/{client_ip}/limits": "Look at the limits of",
  "PUT session/{client_ip}/limits": "Change the limits of",
  "POST session/{client_ip}/end": "End the session",
  "POST session/{client_ip}/pause": "Pause the session",
  "POST session/{client_ip}/resume": "Resume the session",
  "POST session/{client_ip}/trash": "Trash the session",
  "POST session/{client_ip}/restore": "Restore the session",
  "POST session/{client_ip}/purge": "Remove for good the session",
  "GET session/{client_ip}/archive": "Download all files of",
  "POST task/{task_id}/cancel": "Cancel as the owner",
  "PUT message": "Write a message to all",
  "DELETE message": "Take the message to all back",
  "POST doctor": "Have the doctor look",
};

const VERBS = { GET: "Look at", HEAD: "Look at", POST: "Change", PUT: "Write", PATCH: "Change", DELETE: "Delete" };

/** @param {string} name an operation that has no words of its own @returns {string} its kind, and its place as it is */
function plainly(name) {
  const [verb, ...rest] = name.split(" ");
  return VERBS[verb] ? `${VERBS[verb]} ${rest.join(" ")}` : name;
}

/** @param {string} name an operation of the audit log @returns {string} it in words */
export function operation(name) {
  return OPERATIONS[name] ?? OF_ADMIN[name.replace(/\/(api\/admin|admin\/api)\//, "")] ?? plainly(name);
}
