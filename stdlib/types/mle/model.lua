---@meta mle.model

---A trained model, read strictly and ready to score. Scripts use mlengine.xgboost.
---@class mle.Model
local Model = {}

---@class mle.ModelInfo
---@field objective string
---@field version string          of the XGBoost that wrote it: "3.2"
---@field num_features integer
---@field num_outputs integer     margins a row has
---@field num_rounds integer
---@field num_trees integer
---@field feature_names? string[]
---@field feature_types? string[]

---@return mle.ModelInfo
function Model:info() end

---A text the trainer left, such as "best_iteration".
---@param name string
---@return string?
function Model:attribute(name) end

---The names of the i-th feature's categories in the order of their codes; nil when it has none.
---@param i integer from 1
---@return string[]?
function Model:categories(i) end

---Forgets all rounds but [first, last).
---@param first integer from 0
---@param last integer
function Model:keep_range(first, last) end

---Scores one row; false, or anything that is no number, is a missing value.
---@param row (number|false)[]
---@param margin? boolean
---@return number[]
function Model:predict(row, margin) end

---Gives the model back; later calls on it raise.
function Model:close() end

local M = {}

---Reads UBJSON or JSON of XGBoost 1.0 to 3.x; refuses whatever is not a forest.
---@param bytes string
---@return mle.Model
function M.parse(bytes) end

return M
