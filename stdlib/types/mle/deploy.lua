---@meta mle.deploy

---Deployment records, and the project's copies of deployed models.
local M = {}

---@class mle.deploy.Deployment
---@field id integer
---@field previous? integer
---@field endpoint string
---@field uri string
---@field name? string
---@field version? string
---@field run_id? string
---@field snapshot_id? string
---@field folder string
---@field sha256 string
---@field scores? string
---@field alias? string
---@field state "started"|"verified"|"accepted"|"recorded"|"live"|"retired"|"rolled back"|"failed"|"rejected"
---@field outcome? string
---@field created_ms integer
---@field updated_ms integer

---@class mle.deploy.Records
local Records = {}

---Writes the intent, or takes up an unfinished or live deployment of the same model.
---@param wanted { endpoint: string, uri: string, folder: string, sha256: string, name?: string, version?: string, run_id?: string, snapshot_id?: string, alias?: string }
---@return integer id
function Records:begin(wanted) end

---Moves a deployment on; `text` is the outcome, or for "verified" the scores.
---@param id integer
---@param state "verified"|"accepted"|"failed"|"rejected"
---@param text? string
function Records:advance(id, state, text) end

---Makes it its endpoint's slot record.
---@param id integer
function Records:point(id) end

---The same for going back to `earlier`.
---@param id integer
---@param earlier integer
function Records:point_back(id, earlier) end

---It is live; what was before is retired.
---@param id integer
function Records:finish(id) end

---Forgets an endpoint's slot; what it had is retired.
---@param endpoint string
function Records:retire(endpoint) end

---@param id integer
---@return mle.deploy.Deployment
function Records:get(id) end

---What an endpoint's slot names; nil without one.
---@param endpoint string
---@return mle.deploy.Deployment?
function Records:slot(endpoint) end

---The newest first.
---@param endpoint? string
---@param limit? integer 50
---@return mle.deploy.Deployment[]
function Records:list(endpoint, limit) end

---Removes copies of models that no record needs.
---@param models string
function Records:prune(models) end

---Makes an access key for an endpoint, or (nil) for administration; the key is not stored.
---@param endpoint? string
---@param label? string
---@return string key, integer id
function Records:add_key(endpoint, label) end

---@param id integer
function Records:revoke_key(id) end

---Forgets an endpoint's keys: it takes requests without one.
---@param endpoint string
function Records:open_endpoint(endpoint) end

---@return { id: integer, endpoint?: string, label: string, sha256: string, created_ms: integer }[]
function Records:keys() end

function Records:close() end

---Opens the records in a project's state folder.
---@param state string
---@return mle.deploy.Records
function M.open(state) end

---Path and digest of the copy that a model's folder would get.
---@param source string
---@param models string
---@return string path, string sha256
function M.plan(source, models) end

---Makes that copy unless it is there.
---@param source string
---@param path string
---@param sha256 string
function M.copy(source, path, sha256) end

---The name of the data file of the xgboost flavour in a model's folder.
---@param folder string
---@return string
function M.data_file(folder) end

return M
